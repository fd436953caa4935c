"""Every kind of store, and the server that one of them needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.features.servers import PostgresServer, running_postgres
from tests.pipelines.issued import STORES


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of the file's own."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=STORES)
def kind(request: pytest.FixtureRequest) -> str:
    """A kind of store."""
    return str(request.param)


@pytest.fixture
def used(kind: str, request: pytest.FixtureRequest) -> PostgresServer | None:
    """The server, where the kind needs one."""
    return request.getfixturevalue("server") if kind == "postgres" else None
