"""The real panel over a company's real scores, asked in this process."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from pipelines.dashboard.access.users import User, UsersFile
from pipelines.dashboard.app import create_app
from pipelines.dashboard.snapshot.snapshot import Snapshot
from pipelines.project.project import Project, load_project
from pipelines.project.settings.serve import ServeSettings

OWNER = "region"
EVERYBODY, LIMITED, ADMIN = "lee", "sam", "ada"
MINE = "EMEA"


class OpenedPanel:
    """Asks the panel as one visitor or another."""

    def __init__(self, app: Any, client: Any) -> None:
        self.app, self.client = app, client

    @property
    def project(self) -> Project:
        return self.app.state.panel.project

    @property
    def snapshot(self) -> Snapshot:
        found = self.app.state.panel.snapshots.current("main")
        assert found is not None
        return found

    def get(self, path: str, who: str = EVERYBODY) -> Any:
        return self.client.get(path, headers={"X-User": who})

    def post(self, path: str, told: Any, who: str = EVERYBODY, **options: Any) -> Any:
        token = self.get("/api/v1/session", who).json()["csrf_token"]
        headers = {"X-User": who, "X-CSRF-Token": token}
        return self.client.post(path, headers=headers, **({"json": told} | options))

    def ready(self, path: str, who: str = EVERYBODY) -> Any:
        """Ask until what takes long is ready."""
        while (response := self.get(path, who)).status_code == 202:
            wait(self._under_way(), timeout=60)
        return response

    def _under_way(self) -> list[Future[Any]]:
        state = self.app.state
        accounts = state.account_jobs
        works = (
            accounts._details,
            accounts._histories,
            state.model_jobs._health,
            state.weights_benches._benches,
            state.forecast_jobs._forecasts,
        )
        return [kept.future for work in works for kept in work._kept.values()]

    def account(self, account_id: str, below: str = "", who: str = EVERYBODY) -> Any:
        return self.get(f"/api/v1/accounts/{quote(account_id, safe='')}{below}", who)

    def ids(self, where: str = "true") -> list[str]:
        rows = self.snapshot.ask(f"select account_id from accounts where {where} order by stake")
        return [row["account_id"] for row in rows]


@contextmanager
def opened_panel(config: Path) -> Iterator[OpenedPanel]:
    """Serve a project behind a proxy that names visitors, one of whom sees a region alone."""
    with warnings.catch_warnings():
        # It would rather have a package that is not out yet.
        warnings.simplefilter("ignore")
        from starlette.testclient import TestClient

    with TemporaryDirectory() as folder:
        # Companies are shared: nothing is written beside one.
        users = Path(folder) / "users.toml"
        UsersFile(users).write(
            {
                EVERYBODY: User(EVERYBODY, "viewer"),
                ADMIN: User(ADMIN, "admin"),
                LIMITED: User(LIMITED, "viewer", owners=frozenset({MINE})),
            }
        )
        settings = ServeSettings(
            proxy_header="X-User", trusted_proxies=("127.0.0.1/32",), owner=OWNER, users=str(users)
        )
        app = create_app(load_project(config), settings)
        with TestClient(
            app, client=("127.0.0.1", 50_000), base_url="http://localhost", follow_redirects=False
        ) as client:
            snapshots = app.state.panel.snapshots
            snapshots.refresh()
            assert snapshots.current("main") is not None, snapshots.why_none("main")
            yield OpenedPanel(app, client)
