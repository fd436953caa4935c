"""Training, scoring, retraining and rollback through a tracking server that keeps the files."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from models.registry.models import Registry
from pipelines.monitor.retrain import retrain
from pipelines.project.project import load_project
from tests.pipelines.changing import let_time_pass, write_company

SECONDS_TO_START = 180
# Its jobs, which nothing here asks for, are processes of their own that take their time to start.
SERVER_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A tracking server of its own, through which alone its artifacts are reached."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}", "--workers", "1"]
    command += ["--serve-artifacts", "--artifacts-destination", str(folder / "kept")]
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    log = folder / "log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment | SERVER_SETTINGS,
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    deadline = monotonic() + SECONDS_TO_START

    def is_ready() -> bool:
        with suppress(URLError, ConnectionError), urlopen(f"{address}/health", timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    try:
        while not is_ready():
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.2)
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert monotonic() < deadline, log.read_text(encoding="utf-8")
        yield address, folder
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
@pytest.mark.xdist_group("serving")
def test_everything_goes_through_the_server(server, run, tmp_path, monkeypatch) -> None:
    address, folder = server
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    write_company(tmp_path / "company")
    config = tmp_path / "company" / "healthscore.toml"
    assert run("score", "-c", config).code == 5

    assert run("train", "-c", config, "--json").answer["model_version"] == "1"
    let_time_pass(config)
    first = run("score", "-c", config, "--json").answer
    assert (first["model_version"], first["revision"]) == ("1", 1)

    project = load_project(config)
    told = retrain(project)
    assert told.promoted, told.reasons
    assert Registry(project.registry_folder, "healthscore").champion().version == "2"
    second = run("score", "-c", config, "--json").answer
    assert (second["model_version"], second["rows"]) == ("2", first["rows"])

    assert run("rollback", "-c", config, "--reason", "ø", "--json").answer["model_version"] == "1"
    again = run("score", "-c", config, "--json").answer
    assert (again["model_version"], again["issued_before"]) == ("1", True)
    found = run("history", "-c", config, "--json").answer
    assert [(r["action"], r["version"], r["state"]) for r in found["records"]] == [
        ("train", "1", "done"),
        ("promote", "2", "done"),
        ("rollback", "1", "done"),
    ]
    assert found["records"][-1]["reasons"] == ["ø"]
    assert [version["became"] for version in found["versions"]] == ["champion", "rolled back"]
    assert found["versions"][1]["counts"]["last_date"] > found["versions"][0]["counts"]["last_date"]
    # Files lie where the server keeps them, and nothing beside the configuration.
    assert list((folder / "kept").rglob("health_model.json"))
    assert not (tmp_path / "company" / "mlruns").exists()
    assert os.environ["MLFLOW_TRACKING_URI"] == address
