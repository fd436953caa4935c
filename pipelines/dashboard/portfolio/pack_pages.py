"""Pages for a meeting, as PDF: one account on one page, or a pack of the first of the worklist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from pipelines.dashboard.access.visitor import Visitor, VisitorOf
from pipelines.dashboard.account.address import AccountRoute
from pipelines.dashboard.web.background import Background, Done, ready
from pipelines.portfolio.outbox.pack import pack_from
from pipelines.reports.pdf import pdf_of

if TYPE_CHECKING:
    from concurrent.futures import Future

    from pipelines.dashboard.panel.panel import Panel
    from pipelines.dashboard.snapshot.snapshot import Snapshot
    from pipelines.project.project import Project

FIRST, WAITING, KEPT = 10, 8, 8
SECONDS, GOOD_SECONDS = 120.0, 30.0
"""So long a visitor waits for a file, and so long what was done since is not looked for."""
BUSY = "Too many files are being set just now; ask again in a minute"
Slides = Annotated[bool, Query(description="Slides of 16:9 rather than A4.")]

router = APIRouter(route_class=AccountRoute)


@dataclass(frozen=True)
class Asked:
    """Which pages are asked for: an account's, or the first of a worklist."""

    account_id: str | None
    is_wide: bool


class PackJobs:
    """Files that are set one after the other, whoever asks for them how often."""

    def __init__(self) -> None:
        self._files = Background[bytes](
            "pack", threads=1, keep=KEPT, waiting=WAITING, seconds=GOOD_SECONDS
        )

    def file(
        self, project: Project, snapshot: Snapshot, visitor: Visitor, asked: Asked
    ) -> Future[Done[bytes]] | None:
        """Set the pages of a visitor's accounts."""
        named = [] if asked.account_id is None else [asked.account_id]
        owner = None if visitor.owners is None else ", ".join(sorted(visitor.owners))

        def work() -> bytes:
            pack = pack_from(project, snapshot, visitor, named, owner, FIRST)
            return pdf_of(pack.html(is_wide=asked.is_wide))

        run = snapshot.run
        return self._files.ask((run.key, run.revision, visitor.owners, asked), work)

    def close(self) -> None:
        """Begin nothing more."""
        self._files.close()


@router.get("/pack.pdf", include_in_schema=False)
async def pack_file(request: Request, visitor: VisitorOf, slides: Slides = False) -> Response:
    """Send a page on all of the visitor's accounts, and one of each that is called first."""
    return await _file(request, visitor, Asked(None, slides), "pack")


@router.get("/accounts/{account_id:account}/one-page.pdf", include_in_schema=False)
async def account_file(
    request: Request,
    account_id: Annotated[str, Path(description="The id, percent-encoded, slashes too.")],
    visitor: VisitorOf,
    slides: Slides = False,
) -> Response:
    """Send the page of an account."""
    panel: Panel = request.app.state.panel
    snapshot = await run_in_threadpool(panel.snapshot_of, request)
    if await run_in_threadpool(snapshot.account, visitor, account_id) is None:
        raise HTTPException(
            404, "There is no such account among these scores; check its id in the list"
        )
    return await _file(request, visitor, Asked(account_id, slides), "account")


async def _file(request: Request, visitor: Visitor, asked: Asked, name: str) -> Response:
    panel: Panel = request.app.state.panel
    jobs: PackJobs = request.app.state.pack_jobs
    snapshot = await run_in_threadpool(panel.snapshot_of, request)
    work = jobs.file(panel.project_of(request), snapshot, visitor, asked)
    done = None if work is None else await ready(work, SECONDS)
    if done is None or done.value is None:
        raise HTTPException(503, BUSY if done is None else done.why_not(visitor))
    # An id may be anything; a header holds no more than a date.
    file = f"{name}-{snapshot.run.key.as_of}.pdf"
    return Response(
        done.value,
        media_type="application/pdf",
        headers={"content-disposition": f'inline; filename="{file}"'},
    )
