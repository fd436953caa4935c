"""The panel that every page stands on: the project, its snapshots and its templates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from fastapi import HTTPException, Request
from fastapi.responses import HTMLResponse
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from pipelines.dashboard.access.visitor import visitor_of
from pipelines.dashboard.panel.notices import Notice, Notices
from pipelines.dashboard.web.static_files import static_url
from pipelines.project.settings.score import MAIN
from pipelines.reports import wording
from pipelines.reports.freshness import Freshness, freshness_of
from pipelines.reports.segments import segment_words
from pipelines.reports.terminal.console import plain

if TYPE_CHECKING:
    from pipelines.dashboard.access.gate import Gate
    from pipelines.dashboard.panel.oidc import Oidc
    from pipelines.dashboard.snapshot.snapshot import Snapshot
    from pipelines.dashboard.snapshot.watch import Snapshots
    from pipelines.project.project import Project
    from pipelines.project.records.calls import CallBook
    from pipelines.project.records.overrides import OverrideBook
    from pipelines.project.settings.serve import ServeSettings

LONGEST_CHOICE = 60
OUTCOME = "outcome"
"""Query parameter that turns a page to a further outcome."""


@dataclass(frozen=True)
class Panel:
    """What the pages share; ``request.app.state.panel`` holds it.

    Parameters
    ----------
    project : Project
        The configuration.
    settings : ServeSettings
        Its ``[serve]`` section, as it is served.
    snapshots : Snapshots
        The newest run of each outcome.
    gate : Gate
        Who is let in.
    calls : CallBook
        What was done about accounts.
    overrides : OverrideBook
        What somebody says instead of scores.
    oidc : Oidc or None
        The provider of identities that visitors may log in with.
    """

    project: Project
    settings: ServeSettings
    snapshots: Snapshots
    gate: Gate
    calls: CallBook
    overrides: OverrideBook
    oidc: Oidc | None = None
    templates: Environment = field(default_factory=lambda: environment())
    notices: Notices = field(default_factory=Notices)

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Names of the outcomes, the main one first."""
        return (MAIN, *self.project.settings.outcomes)

    def outcome_of(self, request: Request) -> str:
        """Return the outcome that an address asks for.

        Raises
        ------
        HTTPException
            404 when there is none of that name.
        """
        asked = request.query_params.get(OUTCOME) or MAIN
        if asked not in self.outcomes:
            raise HTTPException(404, f"There is no outcome {asked[:60]!r}")
        return asked

    def project_of(self, request: Request) -> Project:
        """Return the project of the outcome that an address asks for."""
        return self.project.for_outcome(self.outcome_of(request))

    def snapshot_of(self, request: Request) -> Snapshot:
        """Return the newest scores of the outcome that an address asks for.

        Raises
        ------
        HTTPException
            503 when there are none yet.
        """
        outcome = self.outcome_of(request)
        snapshot = self.snapshots.current(outcome)
        if snapshot is None:
            raise HTTPException(503, self.snapshots.why_none(outcome, visitor_of(request)))
        return snapshot

    def freshness_of(self, snapshot: Snapshot) -> Freshness:
        """Hold the scores of a snapshot against the clock."""
        outcome = self.project.for_outcome(snapshot.outcome).settings.outcome
        return freshness_of(outcome, snapshot.run.key.as_of)

    def tell(self, request: Request, notice: Notice) -> None:
        """Have the next page of whoever sent a request say what it came to."""
        self.notices.leave(self.gate.cookie(request), notice)

    def render(
        self, request: Request, name: str, status: int = 200, **context: object
    ) -> HTMLResponse:
        """Fill in a page for whoever asked for it.

        Parameters
        ----------
        request : Request
            Who asks, and for which outcome.
        name : str
            A template of ``pipelines/dashboard/templates``.
        status : int
            Status of the response.
        **context : object
            What the template asks for beside what every page is given: ``request``, ``visitor``
            (None on pages for everybody), ``outcome`` and ``outcomes``, ``snapshot`` (None where
            there is none), ``currency`` (of all amounts, where known), ``stale`` (a sentence, or
            None), ``csrf_token``, ``take_notice`` (what the last click came to) and the functions
            ``link(path, **parameters)``, which keeps the outcome, and
            ``account_link(account_id)``.
        """
        visitor = getattr(request.state, "visitor", None)
        asked = request.query_params.get(OUTCOME) or MAIN
        outcome = asked if asked in self.outcomes else MAIN
        snapshot = self.snapshots.current(outcome) if visitor else None
        rates = self.project.settings.reading.rates
        values = {
            "request": request,
            "visitor": visitor,
            "outcome": outcome,
            "outcomes": self.outcomes,
            "snapshot": snapshot,
            "outdated": None if snapshot is None else self.freshness_of(snapshot).note,
            "currency": None if rates is None else rates.currency,
            "stale": self.snapshots.stale(outcome, visitor) if visitor else None,
            "can_log_out": self.gate.has_sessions,
            # Asked for by whole pages alone: a part of one must not take it.
            "take_notice": lambda: self.notices.take(self.gate.cookie(request)),
            "csrf_token": self.gate.csrf_token(request),
            **context,
        }
        return HTMLResponse(self.templates.get_template(name).render(values), status)


def environment() -> Environment:
    """Return the environment of the panel's pages: as that of reports, whose pieces it can import.

    Every value is escaped, and one that a template asks for in vain is an error.
    """
    made = Environment(
        loader=ChoiceLoader(
            [PackageLoader("pipelines.dashboard"), PackageLoader("pipelines.reports")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {name: getattr(wording, name) for name in wording.FILTERS}
    made.filters |= {"shown": _shown, "segment": segment_words}
    made.globals |= {
        "link": _link,
        "account_link": _account_link,
        "static": static_url,
        "write_percent": wording.percent,
    }
    return made


def link_to(path: str, outcome: str = MAIN, **parameters: object) -> str:
    """Write an address within the panel; what is None or empty is left out.

    Examples
    --------
    >>> link_to("/accounts", "growth", band="at-risk", q="")
    '/accounts?outcome=growth&band=at-risk'
    """
    asked = {OUTCOME: "" if outcome == MAIN else outcome, **parameters}
    query = {name: value for name, value in asked.items() if value not in (None, "", ())}
    return f"{path}?{urlencode(query, doseq=True)}" if query else path


def account_path(account_id: str) -> str:
    """Write the path of an account's page, whatever characters its id has.

    Examples
    --------
    >>> account_path("a/b c")
    '/accounts/a%2Fb%20c'
    """
    return f"/accounts/{quote(account_id, safe='')}"


def _shown(text: str) -> str:
    """Write somebody's text where no markup can be, as in a list to choose from."""
    return plain(text, LONGEST_CHOICE)


@pass_context
def _link(context: Context, path: str, **parameters: object) -> str:
    return link_to(path, context["outcome"], **parameters)


@pass_context
def _account_link(context: Context, account_id: str, below: str = "", **parameters: object) -> str:
    path = account_path(account_id)
    return link_to(f"{path}/{below}" if below else path, context["outcome"], **parameters)
