"""A disk that was mounted for reading alone: scores are read, and issuing ends in a sentence."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.store.runs import RunKey
from tests.pipelines.issued import DAY, batch, contents, fresh, issue

ROOT = Path(__file__).resolve().parents[3]
# Root writes where files forbid it, so the disk itself must: in a process of its own, for it alone.
MOUNTED = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
WITHIN = ("unshare", "--map-root-user", "--mount", "sh", "-c", MOUNTED)
TRIED = """
import json, sys
from pathlib import Path
from features.errors import StoreError
from pipelines.project.project import load_project
from tests.pipelines.issued import batch, issue, read
project = load_project(Path(sys.argv[1]))
try:
    issue(project, batch(["B"]), force=True)
    told = "issued"
except StoreError as error:
    told = str(error)
print(json.dumps([read(project).num_rows, told]))
"""


@pytest.fixture(scope="module", autouse=True)
def _mounts(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("mounted")
    if not shutil.which("unshare"):
        pytest.skip("no program here mounts a folder for one process")
    if subprocess.run([*WITHIN, folder, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a folder for one process")


@pytest.mark.parametrize("kind", ["duckdb", "parquet"])
def test_scores_are_read_from_a_read_only_disk_and_nothing_is_issued(
    kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project = fresh(kind, tmp_path_factory)
    issue(project, batch(["A", "B"]))
    issue(project, batch(["A"]), key=RunKey("main", DAY, "2"))
    before = contents(project)
    command = [*WITHIN, project.path.parent, sys.executable, "-c", TRIED, project.path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    rows, told = json.loads(done.stdout)
    assert rows == 2
    assert told.startswith("The score store ")
    assert "\n" not in told
    assert "read-only file system" in told.lower()
    assert contents(project) == before
