"""What a visitor is told when something cannot be done: a page, or a JSON problem for programs."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteException
from starlette.responses import Response

from features.errors import DataError, HealthscoreError, SettingsError
from pipelines.dashboard.access.notes import note_of

API = "/api/"
JSON_PROBLEM = "application/problem+json"
TITLES = {
    400: "That cannot be asked",
    401: "Who are you?",
    403: "This is not for you",
    404: "Nothing is here",
    409: "Not as things are",
    413: "That is too much",
    422: "That cannot be asked",
    503: "Not at this moment",
}
"""What pages say; programs are told the protocol's words."""
AGAIN_SECONDS = 10
SENTENCES = {404: "There is no such page", 405: "This address does not take that method"}


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    title: str
    status: int
    detail: str


# What may happen to every question, as OpenAPI tells it.
DESCRIBED: dict[int | str, dict[str, Any]] = {
    status: {
        "description": HTTPStatus(status).phrase,
        "content": {JSON_PROBLEM: {"schema": Problem.model_json_schema()}},
    }
    for status in (400, 401, 403, 404, 409, 413, 422, 503)
}


def problem(
    request: Request, status: int, sentence: str, headers: dict[str, str] | None = None
) -> Response:
    """Answer with a sentence: a page, or JSON where a program asked.

    Parameters
    ----------
    request : Request
        What was asked.
    status : int
        Status of the response.
    sentence : str
        What is wrong and what to do, without a full stop.
    headers : dict of str to str, optional
        Further headers.
    """
    title = HTTPStatus(status).phrase
    if request.url.path.startswith(API):
        told = Problem(title=title, status=status, detail=f"{sentence}.")
        content = told.model_dump()
        return JSONResponse(content, status, headers=headers, media_type=JSON_PROBLEM)
    title = TITLES.get(status, title)
    page: Response = request.app.state.panel.render(
        request, "error.html.j2", status, page_title=title, sentence=sentence, code=status
    )
    page.headers.update(headers or {})
    if status == 503 and request.method == "GET":
        page.headers["refresh"] = str(AGAIN_SECONDS)
    return page


def register(app: FastAPI) -> None:
    """Have every refusal of an app told so."""

    @app.exception_handler(StarletteException)
    def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, StarletteException)
        known = isinstance(error, HTTPException)
        sentence = str(error.detail) if known else SENTENCES.get(error.status_code, error.detail)
        return problem(request, error.status_code, sentence, dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = " ".join(str(part) for part in first["loc"][1:])[:60] or "The request"
        return problem(request, 422, f"{where}: {first['msg'][:300]}")

    @app.exception_handler(HealthscoreError)
    def failed(request: Request, error: Exception) -> Response:
        assert isinstance(error, HealthscoreError)
        # What was asked for may be wrong; what the data or the store forbid may be allowed later.
        if isinstance(error, SettingsError):
            return problem(request, 422, str(error).rstrip("."))
        visitor = getattr(request.state, "visitor", None)
        status = 409 if isinstance(error, DataError) else 503
        return problem(request, status, note_of(error).as_seen_by(visitor))
