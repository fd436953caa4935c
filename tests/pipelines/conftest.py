"""One company, trained once through the command line, and the way every test here runs commands."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.cli import main
from pipelines.project.company import open_project_source
from pipelines.project.kept_checks import kept_checks
from pipelines.project.project import load_project
from pipelines.weights.recommend import Recommended
from pipelines.weights.report.report import weights_html
from tests.pipelines.reports.page import Page
from tests.pipelines.reports.told_company import HOSTILE, told_company

# Read when LightGBM is first loaded: threads that spin while they wait starve the other workers.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


GROUPS = ("usage", "adoption", "support", "payments", "referrals", "surveys", "enablement")
ROOT = Path(__file__).resolve().parents[2]
PROGRESS = re.compile(r"\w+ \[[\d,]+/[\d,]+( rows)?\] .+")
HOSTILE_IDS = {
    "A-00011": "<script>alert(1)</script>",
    "A-00012": "A\x1b[31mred\x1b[0m",
    "A-00013": "[/red][bold]A{value}:smile:",
    "A-00014": "new\nline\ttab",
    "A-00015": "\u202eRTL עברית",
    "A-00016": "L" * 300,
    "A-00017": "O'Brien; drop table scores --",
    "A-00018": "[/]",
}


@dataclass(frozen=True)
class Ran:
    """What one command left behind."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> dict[str, Any]:
        """The one JSON object on standard output."""
        assert self.code == 0, self.err
        assert self.out.count("\n") == 1
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def sentence(self) -> str:
        """The one sentence on standard error, beside lines of progress; nothing on output."""
        assert self.out == ""
        lines = [line for line in self.err.splitlines() if not PROGRESS.fullmatch(line)]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("healthscore: ")
        return lines[0].removeprefix("healthscore: ")


Run = Callable[..., Ran]


def _run(*arguments: object) -> Ran:
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as stop,
    ):
        main([str(argument) for argument in arguments])
    code = stop.value.code or 0
    assert isinstance(code, int)
    return Ran(code, out.getvalue(), err.getvalue())


class _Process(subprocess.Popen[str]):
    """A process that does not outlive a test that fails beside it."""

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, *rest)


def _spawn(
    *arguments: object, before: str = "", env: dict[str, str] | None = None, **options: Any
) -> subprocess.Popen[str]:
    """Start the real command line; ``before`` is Python to run first in the same process."""
    code = f"{before}\nfrom pipelines.cli import main\nmain()"
    return _Process(
        [sys.executable, "-c", code, *(str(argument) for argument in arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options},
    )


@pytest.fixture(scope="session")
def run() -> Run:
    """Run a command in this process, and return its exit code and what it printed."""
    return _run


@pytest.fixture(scope="session")
def spawn() -> Callable[..., subprocess.Popen[str]]:
    """Start a command in a process of its own."""
    return _spawn


@pytest.fixture(scope="session")
def spawned() -> Run:
    """Run a command in a process of its own, to its end."""

    def to_the_end(*arguments: object, **options: Any) -> Ran:
        process = _spawn(*arguments, **options)
        out, err = process.communicate()
        return Ran(process.returncode, out or "", err or "")

    return to_the_end


@pytest.fixture(scope="session")
def hostile_ids() -> dict[str, str]:
    return HOSTILE_IDS


@pytest.fixture(autouse=True, scope="session")
def _own_registry() -> None:
    os.environ.pop("MLFLOW_TRACKING_URI", None)


Once = Callable[[str, Callable[[Path], object]], tuple[Path, Any]]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Have a folder filled by the worker that comes first; the others wait and take it over.

    Returns the folder and what the function that filled it returned, which JSON can hold.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def filled(name: str, fill: Callable[[Path], object]) -> tuple[Path, Any]:
        folder, proof = shared / name, shared / f"{name}.json"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not proof.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                proof.write_text(json.dumps(fill(folder)), encoding="utf-8")
        return folder, json.loads(proof.read_text(encoding="utf-8"))

    return filled


@pytest.fixture(scope="session")
def simulated(run: Run, once: Once) -> Path:
    """A simulated company's folder of tables, as it came; nobody writes into it."""

    def simulate(folder: Path) -> None:
        options = ("--accounts", 400, "--months", 18, "--json")
        made = run("simulate", folder / "data", *options).answer
        assert made["rows"]["accounts"] == 400

    return once("simulated", simulate)[0] / "data"


@pytest.fixture(scope="session")
def hostile(simulated: Path, once: Once) -> Path:
    """A folder with the same company, some of whose words are an attack on whoever prints them."""
    return once("hostile", lambda folder: _make_hostile(simulated, folder / "data"))[0] / "data"


def _make_hostile(simulated: Path, folder: Path) -> None:
    folder.mkdir()
    with duckdb.connect() as connection:
        connection.execute("create table renamed (account_id varchar, fresh varchar)")
        connection.executemany("insert into renamed values (?, ?)", list(HOSTILE_IDS.items()))
        for file in sorted(simulated.glob("*.parquet")):
            changed = "coalesce(fresh, account_id) as account_id"
            if file.stem == "accounts":
                changed += ", coalesce(fresh, name) as name"
                changed += ", if(industry = 'Retail', '[/red]<b>Retail</b>', industry) as industry"
            if file.stem in ("accounts", "subscriptions"):
                changed += ", replace(plan, 'starter', '[/bold]\x1b[31mstarter') as plan"
            connection.execute(
                f"copy (select t.* replace ({changed}) from '{file}' t"
                " left join renamed using (account_id))"
                f" to '{folder / file.name}'"
            )


@dataclass(frozen=True)
class Project:
    """A configured company and what its training printed."""

    folder: Path
    config: Path
    trained: dict[str, Any]
    err: str

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def store(self) -> Path:
        return self.folder / "scores.duckdb"

    def logged(self, name: str) -> Path:
        """A file logged with the first champion; copies register theirs beside it."""
        found = (self.folder / "mlruns").rglob(name)
        return min(found, key=lambda path: path.stat().st_mtime_ns)

    def sql(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Ask the score store."""
        with duckdb.connect(str(self.store), read_only=True) as connection:
            return connection.execute(query, list(parameters)).fetchall()


@pytest.fixture(scope="session")
def taught(run: Run, hostile: Path, once: Once) -> Project:
    """The hostile company with a first champion; nobody scores in this folder."""

    def teach(folder: Path) -> list[object]:
        config = folder / "healthscore.toml"
        shutil.copytree(hostile, folder / "data")
        run("init", folder / "data", "-c", config, "--json").answer  # noqa: B018
        ran = run("train", "-c", config, "--json")
        run("check", "-c", config, "--json").answer  # noqa: B018 - it is told again of every copy
        return [ran.answer, ran.err]

    folder, told = once("taught", teach)
    return Project(folder, folder / "healthscore.toml", *told)


def copy_of(company: Project, folder: Path) -> Project:
    """Copy a company with what a check told of its tables, which hangs on where they lie."""
    shutil.copytree(company.folder, folder, dirs_exist_ok=True)
    copy = Project(folder, folder / company.config.name, company.trained, company.err)
    told, place = map(_place_of_checks, (company, copy))
    shutil.copyfile(told, place)
    return copy


def _place_of_checks(company: Project) -> Path:
    opened = load_project(company.config)
    with open_project_source(opened) as source:
        place = kept_checks(opened, source)
    assert place is not None
    return place.file


@pytest.fixture
def project(taught: Project, tmp_path: Path) -> Project:
    """A copy to play with; its registry still reads the champion's files where they were made."""
    return copy_of(taught, tmp_path / "project")


@pytest.fixture(scope="session")
def scored(
    taught: Project, run: Run, once: Once, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """A copy whose accounts were scored on the last day and on an earlier one."""

    def score(folder: Path) -> None:
        copy = copy_of(taught, folder)
        for dated in ((), ("--as-of", "2025-03-15")):
            run("score", "-c", copy.config, *dated, "--json").answer  # noqa: B018

    # Each worker has a copy of its own: commands look into the store while they run.
    folder = once("scored", score)[0]
    made = Project(folder, folder / taught.config.name, taught.trained, taught.err)
    return copy_of(made, tmp_path_factory.mktemp("scored") / "project")


CONFIG = """\
[source]
url = "data"
[tables.accounts]
[tables.subscriptions]
[tables.usage_events]
"""


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Path]:
    """Write a company of a few CSV files, where ``churned`` of ``count`` accounts leave."""

    def write(
        count: int = 60, churned: int = 0, days: int = 300, config: str = CONFIG, **files: str
    ) -> Path:
        folder = tmp_path / "small"
        (folder / "data").mkdir(parents=True, exist_ok=True)
        start = date(2024, 1, 1)
        tables = {
            "accounts": ["account_id,created_at,plan"],
            "subscriptions": ["account_id,started_at,ended_at"],
            "usage_events": ["account_id,occurred_at"],
        }
        for number in range(count):
            tables["accounts"].append(f"C{number},2023-06-01,{'ab'[number % 2]}")
            ended = start + timedelta(days=70 + 3 * number % (days - 80))
            last = ended.isoformat() if number < churned else ""
            tables["subscriptions"].append(f"C{number},2023-06-01,{last}")
        tables["usage_events"] += [
            f"C{day % count},{start + timedelta(days=day)}" for day in range(days)
        ]
        texts = {name: "\n".join(lines) + "\n" for name, lines in tables.items()} | files
        for name, text in texts.items():
            (folder / "data" / f"{name}.csv").write_text(text, encoding="utf-8")
        path = folder / "healthscore.toml"
        path.write_text(config, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def recommended() -> Recommended:
    """Recommendations for three segments and four measures."""
    return told_company()


@pytest.fixture(scope="session")
def page(recommended: Recommended) -> Page:
    return Page(weights_html(recommended))


@pytest.fixture(scope="session")
def large() -> Recommended:
    """Recommendations for twelve segments and nine measures, most of whose names are attacks."""
    plans = tuple(f"plan={number}" for number in range(7))
    return told_company((*HOSTILE, *plans), (*GROUPS, *HOSTILE[:2]))


@pytest.fixture(scope="session")
def large_html(large: Recommended) -> str:
    return weights_html(large)
