"""The answers to programs keep what the OpenAPI description promises, whatever is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from tests.pipelines.dashboard.served import served, users_of

schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis")
openapi_checks = pytest.importorskip("schemathesis.specs.openapi.checks")

pytestmark = pytest.mark.xdist_group("panel")
EXAMPLES = 12
CHECKS = [
    schemathesis.checks.not_a_server_error,
    openapi_checks.response_schema_conformance,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
]


@pytest.fixture(scope="module")
def running(scored):
    from pipelines.project.project import load_project

    project = load_project(scored.config)
    file = users_of(project)
    try:
        owner = {"owner": "region"}
        with served(project, **owner) as found:
            yield found
    finally:
        file.path.unlink()


@pytest.fixture(scope="module")
def schema(running):
    browser = running.browser("root")
    described = browser.get("/api/openapi.json").json()
    from schemathesis import openapi

    loaded = openapi.from_dict(described)
    loaded.app = already_started(running.app)
    return loaded


def already_started(app: Any) -> Any:
    """Keep those who ask from starting the panel a second time."""

    async def asked(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return

    return asked


def test_every_address_is_described(running) -> None:
    described = running.browser("root").get("/api/openapi.json").json()
    assert {"/api/v1/accounts", "/api/v1/portfolio", "/api/v1/session"} <= described["paths"].keys()
    for path, methods in described["paths"].items():
        assert path.startswith("/api/v1/")
        for operation in methods.values():
            assert operation["description"], path
            assert operation["responses"]["200"]["content"], path
    # No page is part of it.
    assert "html" not in json.dumps(described)


def test_no_question_makes_the_panel_fail(running, schema) -> None:
    browser = running.browser("root")
    given_by = {
        "headers": {"x-csrf-token": browser.token()},
        "cookies": {"healthscore": browser.client.cookies["healthscore"]},
    }
    seen = {}
    for found in schema.get_all_operations():
        operation = found.ok()
        seen[operation.label] = {
            status
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
            for status in statuses(operation, mode, given_by)
        }
    for label in ("GET /api/v1/accounts", "GET /api/v1/portfolio"):
        assert {200, 404} <= seen[label]
    assert 422 in seen["GET /api/v1/accounts"]


def statuses(operation: Any, mode: GenerationMode, given_by: dict[str, Any]) -> set[int]:
    """Ask much of an operation, as described or just not, check answers, and list statuses."""
    met: set[int] = set()
    asked = operation.as_strategy(generation_mode=mode)

    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        deadline=None,
        database=None,
    )
    @given(case=asked)
    def ask(case: Any) -> None:
        response = case.call(**given_by)
        met.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    try:
        ask()
    except Unsatisfiable:
        # Nothing that can be asked goes against the description.
        assert mode == GenerationMode.NEGATIVE
    return met
