from __future__ import annotations

import asyncio
import json
from urllib.parse import quote, unquote

import pytest
from fastapi import APIRouter, FastAPI
from hypothesis import given
from hypothesis import strategies as st

from pipelines.dashboard.account.address import AccountRoute

router = APIRouter(route_class=AccountRoute)


@router.get("/accounts/{account_id:account}/details")
def details(account_id: str) -> list[str]:
    return ["details", account_id]


@router.get("/accounts/{account_id:account}")
def account(account_id: str) -> list[str]:
    return ["account", account_id]


APP = FastAPI()
APP.include_router(router)


def answered(raw: str) -> bytes:
    """Ask as a server does: the path decoded, and beside it as it was written."""
    sent: list[dict] = []

    async def ask() -> None:
        scope = {
            "type": "http",
            "method": "GET",
            "path": unquote(raw),
            "raw_path": raw.encode(),
            "query_string": b"",
            "headers": [],
        }

        async def receive() -> dict:
            return {"type": "http.request", "body": b""}

        async def send(message: dict) -> None:
            sent.append(message)

        await APP(scope, receive, send)

    asyncio.run(ask())
    return b"".join(message.get("body", b"") for message in sent)


def told(account_id: str, below: str = "") -> list[str]:
    return json.loads(answered(f"/accounts/{quote(account_id, safe='')}{below}"))


@pytest.mark.parametrize(
    "account_id",
    [
        "A-1",
        "a/b",
        "x/details",
        "details",
        "/",
        "a\nb\n",
        "ünï ✓",
        "'\"<>&?#%",
        "L" * 300,
        " ",
        "%2F",
    ],
)
def test_any_id_has_an_address_of_its_own(account_id) -> None:
    assert told(account_id) == ["account", account_id]
    assert told(account_id, "/details") == ["details", account_id]


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_ids_of_all_letters_do(account_id) -> None:
    assert told(account_id) == ["account", account_id]


def test_a_path_that_was_written_without_percent_signs_is_read_as_it_stands() -> None:
    assert answered("/accounts/a/b") == b'["account","a/b"]'
    assert answered("/accounts/a/b/details") == b'["details","a/b"]'
