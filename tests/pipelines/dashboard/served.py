"""A small company with issued scores and the panel over it, asked in this process."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.dashboard.access.gate import Gate, gate_of
from pipelines.dashboard.access.passwords import hash_password
from pipelines.dashboard.access.tokens import tokens_file
from pipelines.dashboard.access.users import User, UsersFile
from pipelines.dashboard.app import create_app
from pipelines.project.project import Project, load_project
from pipelines.project.settings.serve import ServeSettings
from pipelines.store.opening import open_store
from pipelines.store.runs import Run, RunKey
from tests.pipelines.issued import GROUPS_OF, batch

DAY = date(2025, 1, 1)
PASSWORD = "correct horse battery staple"
OWNERS = ("Ann Lee", "Bob <b>Ray</b>", "Zoé", "")
PLANS = ("pro", "free", "")
HOSTILE = {
    3: "<script>alert(1)</script>",
    4: '=HYPERLINK("http://evil.example","x")',
    5: "\u202eRTL \u05e2\u05d1\u05e8\u05d9\u05ea",
    6: "L" * 300,
    7: "O'Brien %_\\ {{ 7 * 7 }}",
    8: "",
    9: 'quo"te, comma\nline',
}
HOSTILE_IDS = {10: "a/b c?d#e&f=g", 11: "é\u0301 id", 12: "<b>id</b>", 13: "=1+1"}
CONFIG = """\
[source]
url = "data"
data_end = 2025-01-01
[tables.accounts]
attributes = ["plan", "seats", "gender"]
[tables.subscriptions]
[signals]
sensitive = ["gender"]
[outcomes.growth]
kind = "expansion"
[serve]
owner = "csm"
"""


def account_id(number: int) -> str:
    return HOSTILE_IDS.get(number, f"A-{number:04d}")


def company(folder: Path, accounts: int = 200) -> Project:
    """Write the tables and the configuration of a company whose names are an attack."""
    (folder / "data").mkdir(parents=True)
    numbers = range(accounts)
    ids = [account_id(number) for number in numbers]
    # Typed columns: whoever opens a panel would first have to find out what texts mean.
    described = {
        "account_id": ids,
        "created_at": [date(2024, 1 + number % 12, 1) for number in numbers],
        "name": [
            HOSTILE.get(number, f"Company {number} {'Gmbh' if number % 2 else 'Ltd'}")
            for number in numbers
        ],
        "csm": [OWNERS[number % 4] or None for number in numbers],
        "plan": [PLANS[number % 3] or None for number in numbers],
        "seats": [number % 7 or None for number in numbers],
        "gender": ["x"] * accounts,
    }
    terms = {
        "account_id": ids,
        "started_at": [date(2024, 1, 1)] * accounts,
        "ended_at": pa.nulls(accounts, pa.date32()),
        "renewal_at": [date(2025, 2 + number % 6, 1) for number in numbers],
    }
    pq.write_table(pa.table(described), folder / "data" / "accounts.parquet")
    pq.write_table(pa.table(terms), folder / "data" / "subscriptions.parquet")
    path = folder / "healthscore.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return load_project(path)


def issue_scores(
    project: Project,
    accounts: int = 200,
    *,
    seed: int = 0,
    day: date = DAY,
    version: str = "1",
    outcome: str = "main",
    force: bool = False,
) -> Run:
    """Issue scores of a company's accounts, with ties and gaps."""
    random = np.random.default_rng(seed)
    probability = random.choice([0.01, 0.02, 0.05, 0.2, 0.4], accounts) + np.where(
        random.random(accounts) < 0.5, 0, random.random(accounts) / 100
    )
    bad = ("at-risk", "watch", "healthy")
    names = ("likely", "possible", "unlikely") if outcome == "growth" else bad
    rows = batch(
        [account_id(number) for number in range(accounts)],
        seed=seed,
        probability=probability,
        score=np.clip(50 - 10 * np.log2(probability / (1 - probability) / 0.05), 0, 100),
        band=[names[0] if p > 0.1 else names[1] if p > 0.03 else names[2] for p in probability],
        mrr=[None if number % 11 == 0 else float(number % 13) for number in range(accounts)],
    )
    key = RunKey(outcome, day, version)
    with (
        open_store(project, read_only=False) as store,
        store.issue(key, GROUPS_OF, force=force) as writer,
    ):
        writer.write(rows)
        return writer.finish({})


def users_of(project: Project, **also: User) -> UsersFile:
    """Write a viewer, a CSM who sees one owner's accounts, and an admin."""
    hashed = hash_password(PASSWORD)
    users = {
        "ann": User("ann", "viewer", hashed, frozenset({"Ann Lee"})),
        "bob": User("bob", "viewer", hashed, frozenset({"Bob <b>Ray</b>", "Zoé"})),
        "eve": User("eve", "viewer", hashed),
        "root": User("root", "admin", hashed),
    }
    file = UsersFile(project.folder / "users.toml")
    file.write({**users, **also})
    return file


class Browser:
    """One visitor's browser: it keeps cookies, and reads the token from the pages."""

    def __init__(self, app: Any, **options: Any) -> None:
        with warnings.catch_warnings():
            # It would rather have a package that is not out yet.
            warnings.simplefilter("ignore")
            from starlette.testclient import TestClient

        given = {"base_url": "http://localhost", "client": ("127.0.0.1", 50_000)} | options
        self.client = TestClient(app, follow_redirects=False, **given)

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(path, **options)

    def is_in(self, **options: Any) -> bool:
        """Whether the panel knows who this is; what it shows them is another matter."""
        response = self.get("/users", **options)
        return response.status_code == 200 or "This is for admins" in response.text

    def token(self) -> str:
        return str(self.get("/api/v1/session").json()["csrf_token"])

    def post(self, path: str, form: Mapping[str, Any] | None = None, **options: Any) -> Any:
        return self.client.post(path, data={"csrf_token": self.token(), **(form or {})}, **options)

    def log_in(self, name: str, password: str = PASSWORD, wanted: str = "/") -> Any:
        return self.post("/login", {"user": name, "password": password, "next": wanted})


def asked_alone(project: Project) -> ServeSettings:
    """Settings with which the panel looks for newer runs when it is told to, and not beside."""
    return project.settings.serve.model_copy(update={"refresh_seconds": 3600})


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Served:
    """The panel of a project, running."""

    def __init__(self, app: Any, clock: Clock) -> None:
        self.app, self.clock = app, clock
        self.panel = app.state.panel

    @property
    def snapshots(self) -> Any:
        return self.panel.snapshots

    @property
    def gate(self) -> Gate:
        found: Gate = self.panel.gate
        return found

    def browser(self, name: str | None = None, **options: Any) -> Browser:
        """A fresh browser, in which somebody is logged in; hashing takes its time on purpose."""
        opened = Browser(self.app, **options)
        if name is not None:
            assert self.gate.users is not None
            token = self.gate.sessions.begin(self.gate.users.users()[name])
            opened.client.cookies.set("healthscore", token)
        return opened


@contextmanager
def served(project: Project, **settings: Any) -> Iterator[Served]:
    """Run the panel of a project."""
    clock = Clock()
    given = project.settings.serve.model_copy(update={"refresh_seconds": 3600, **settings})
    gate = gate_of(project, given)
    gate = Gate(given, gate.mode, gate.users, clock, tokens_file(project))
    app = create_app(project, given, gate)
    with Browser(app).client:
        running = Served(app, clock)
        running.snapshots.refresh()
        yield running
