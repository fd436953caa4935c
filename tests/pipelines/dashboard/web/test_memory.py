"""The panel's memory: as many objects live after hundreds of requests as after some."""

from __future__ import annotations

import gc
from collections import Counter
from urllib.parse import quote

from tests.pipelines.dashboard.served import account_id

WARM, ASKED = 2, 6
# Of what is kept on purpose there is an end: results of a snapshot, work done beside requests.
SLACK = 200
PATHS = (
    "/",
    "/accounts",
    "/accounts?band=at-risk&sort=name&order=asc",
    "/accounts?state=open&q=company",
    "/accounts.csv?band=watch",
    "/api/v1/portfolio",
    "/api/v1/accounts?size=50",
    "/api/v1/changes?size=20",
    "/api/v1/session",
    "/accounts?sort=nothing",
    "/accounts/absent",
    "/static/panel.css",
)


def living() -> Counter[str]:
    gc.collect()
    return Counter(type(one).__qualname__ for one in gc.get_objects())


def test_requests_leave_nothing_behind(shared) -> None:
    browser, stranger = shared.browser("root"), shared.browser()

    def ask() -> None:
        for path in PATHS:
            browser.get(path)
        for number in range(20):
            browser.get(f"/accounts/{quote(account_id(number), safe='')}")
        stranger.get("/accounts")
        browser.get("/api/v1/portfolio", headers={"authorization": "Bearer hs_none"})

    for _ in range(WARM):
        ask()
    before = living()
    for _ in range(ASKED):
        ask()
    grown = living() - before
    # 204 requests: a single object that each one left would show.
    assert sum(grown.values()) < SLACK, grown.most_common(12)
