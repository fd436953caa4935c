"""The control panel as an application: its layers and its pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from pipelines.dashboard.access import errors
from pipelines.dashboard.access.gate import Gate, gate_of
from pipelines.dashboard.access.gatekeeper import Gatekeeper
from pipelines.dashboard.access.headers import BodyLimit, KnownHosts, SecureResponses
from pipelines.dashboard.account import calls
from pipelines.dashboard.account import pages as account
from pipelines.dashboard.account.jobs import AccountJobs
from pipelines.dashboard.model import pages as model
from pipelines.dashboard.model import plays
from pipelines.dashboard.model.jobs import ModelJobs
from pipelines.dashboard.panel import pages as login
from pipelines.dashboard.panel import users_pages as users
from pipelines.dashboard.panel.oidc import Oidc
from pipelines.dashboard.panel.panel import Panel
from pipelines.dashboard.panel.registry_reads import RegistryReads
from pipelines.dashboard.portfolio import change_feed
from pipelines.dashboard.portfolio import forecast_pages as forecast
from pipelines.dashboard.portfolio import list_pages as account_list
from pipelines.dashboard.portfolio import pack_pages as pack
from pipelines.dashboard.portfolio import pages as portfolio
from pipelines.dashboard.portfolio.forecast_jobs import ForecastJobs
from pipelines.dashboard.snapshot.watch import Snapshots
from pipelines.dashboard.web import static_files
from pipelines.dashboard.weights import pages as weights
from pipelines.dashboard.weights.bench import WeightsBenches
from pipelines.project.records.calls import call_book
from pipelines.project.records.overrides import override_book

if TYPE_CHECKING:
    from pipelines.project.project import Project
    from pipelines.project.settings.serve import ServeSettings

ROUTERS = (
    static_files.router,
    login.router,
    users.router,
    portfolio.router,
    account_list.router,
    change_feed.router,
    forecast.router,
    pack.router,
    calls.router,
    account.router,
    weights.router,
    plays.router,
    model.router,
)
MOST_BYTES = 64 * 1024
COMPRESSED_FROM = 1000
QUICK = 4
ABOUT = """The data of the control panel's pages.

Every address but `/api/v1/session` needs a visitor: a token in the header `Authorization: Bearer`,
the cookie of a login, or the header of a trusted proxy. Without a token, what changes something
needs the header `X-CSRF-Token` with the token that `/api/v1/session` gives, and its cookie.
`?outcome=` names a further outcome."""


def create_app(
    project: Project, settings: ServeSettings | None = None, gate: Gate | None = None
) -> FastAPI:
    """Make the control panel of a project.

    Parameters
    ----------
    project : Project
        The configuration.
    settings : ServeSettings, optional
        How it is served; by default as configured.
    gate : Gate, optional
        Who is let in; by default as the settings say.

    Returns
    -------
    FastAPI
        The application; starting it takes the snapshots and stopping it lets go of them.

    Raises
    ------
    SettingsError
        When the panel would be open to strangers.
    """
    settings = settings or project.settings.serve
    gate = gate or gate_of(project, settings)
    panel = Panel(
        project,
        settings,
        Snapshots(project, settings),
        gate,
        call_book(project.folder),
        override_book(project.folder),
        None if settings.oidc is None else Oidc(settings.oidc),
    )

    reads = RegistryReads()
    account_jobs, weights_benches = AccountJobs(reads), WeightsBenches(reads)
    model_jobs = ModelJobs(len(panel.outcomes))
    forecast_jobs, pack_jobs = ForecastJobs(len(panel.outcomes)), pack.PackJobs()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with panel.snapshots:
            yield
        for work in (
            *(reads, account_jobs, weights_benches),
            *(model_jobs, forecast_jobs, pack_jobs),
        ):
            work.close()

    app = FastAPI(
        title="Healthscore control panel",
        version="1",
        description=ABOUT,
        openapi_url="/api/openapi.json",
        # They fetch scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        responses=errors.DESCRIBED,
    )
    app.state.panel = panel
    app.state.account_jobs = account_jobs
    app.state.weights_benches = weights_benches
    app.state.model_jobs = model_jobs
    app.state.forecast_jobs = forecast_jobs
    app.state.pack_jobs = pack_jobs
    errors.register(app)
    for router in ROUTERS:
        app.include_router(router)
    # The last one added is the outermost.
    app.add_middleware(Gatekeeper, gate=gate)
    app.add_middleware(BodyLimit, most=MOST_BYTES)
    app.add_middleware(KnownHosts, names=gate.host_names)
    app.add_middleware(GZipMiddleware, minimum_size=COMPRESSED_FROM, compresslevel=QUICK)
    app.add_middleware(SecureResponses, is_secure=gate.is_secure)
    return app
