# syntax=docker/dockerfile:1
# Two stages: what installs packages does not travel with what runs them.

ARG PYTHON=3.11-slim-trixie

FROM python:${PYTHON} AS build
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_PYTHON=/opt/healthscore/bin/python
RUN python -m venv --without-pip /opt/healthscore

# Nothing is resolved here: what healthscore needs to run is pinned, every hash checked, as it is in
# requirements.txt for development. The MLflow server has further packages.
ARG REQUIREMENTS=requirements-image.txt
COPY requirements-image.txt requirements-server.txt ./
RUN pip install --require-hashes --no-deps --only-binary :all: --requirement ${REQUIREMENTS}

COPY pyproject.toml README.md LICENSE ./
COPY features features
COPY models models
COPY pipelines pipelines
COPY healthscore.py ./
RUN pip install --no-index --no-deps --no-build-isolation . \
    && pip uninstall --yes --quiet hatchling pathspec pluggy trove-classifiers \
    && /opt/healthscore/bin/python -m compileall -q /opt/healthscore/lib

FROM python:${PYTHON}
# OpenMP for LightGBM; Pango and a font for pages as PDF.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        fonts-dejavu-core libgomp1 libpango-1.0-0 libpangoft2-1.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && pip uninstall --yes --quiet --root-user-action ignore setuptools wheel pip \
    && useradd --uid 10001 --user-group --home-dir /company --create-home \
        --shell /usr/sbin/nologin healthscore \
    && install --directory --owner healthscore --group healthscore /models

COPY --from=build /opt/healthscore /opt/healthscore
COPY --chmod=755 container/entrypoint.sh /usr/local/bin/entrypoint

# Nothing is written beside the configuration's folder, /models (an MLflow server's) and /tmp.
ENV PATH=/opt/healthscore/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CACHE_DIR=/tmp/numba \
    XDG_CACHE_HOME=/tmp/cache

USER 10001:10001
# Mount the folder of healthscore.toml here.
WORKDIR /company
EXPOSE 8000

# For 'healthscore serve'; a job that ends by itself is run with --no-healthcheck.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=4)"]

ENTRYPOINT ["entrypoint"]
CMD ["healthscore", "--help"]
