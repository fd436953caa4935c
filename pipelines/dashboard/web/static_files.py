"""Style sheets, scripts and pictures of the panel: part of the package, never fetched elsewhere."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, HTTPException, Response

PREFIX = "/static"
KINDS = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
# The panel looks as the reports do.
SHARED = {"base.css": ("pipelines.reports", "templates")}
OWN = ("pipelines.dashboard", "static")
A_YEAR = 31_536_000

router = APIRouter()


@router.get(f"{PREFIX}/{{name}}", include_in_schema=False)
def static_file(name: str) -> Response:
    """Send a file of the package; its address changes with it, so that it may be kept."""
    content = _files().get(name)
    if content is None:
        raise HTTPException(404, "There is no such page")
    kind = KINDS[name.rpartition(".")[2]]
    return Response(
        content, media_type=kind, headers={"Cache-Control": f"public, max-age={A_YEAR}, immutable"}
    )


@cache
def static_url(name: str) -> str:
    """Return the address of a file, which tells its content."""
    return f"{PREFIX}/{name}?v={hashlib.sha256(_files()[name]).hexdigest()[:12]}"


@cache
def _files() -> dict[str, bytes]:
    own = {
        content.name: content.read_bytes()
        for content in files(OWN[0]).joinpath(OWN[1]).iterdir()
        if content.name.rpartition(".")[2] in KINDS
    }
    shared = {
        name: files(package).joinpath(folder, name).read_bytes()
        for name, (package, folder) in SHARED.items()
    }
    return own | shared
