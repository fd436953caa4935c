#!/bin/sh
# Passwords come as files, which neither 'docker inspect' nor a listing of processes shows.
set -eu
if [ -n "${PGPASSWORD_FILE:-}" ]; then
    PGPASSWORD=$(cat "$PGPASSWORD_FILE")
    export PGPASSWORD
fi
exec "$@"
