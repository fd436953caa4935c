"""Pages to look at, made once."""

from __future__ import annotations

import pytest

from pipelines.weights.recommend import Recommended
from pipelines.weights.report.report import weights_html
from tests.pipelines.reports.page import Page
from tests.pipelines.reports.told_company import HOSTILE, told_company

GROUPS = ("usage", "adoption", "support", "payments", "referrals", "surveys", "enablement")


@pytest.fixture(scope="session")
def recommended() -> Recommended:
    """Recommendations for three segments and four measures."""
    return told_company()


@pytest.fixture(scope="session")
def page(recommended: Recommended) -> Page:
    return Page(weights_html(recommended))


@pytest.fixture(scope="session")
def large() -> Recommended:
    """Recommendations for twelve segments and nine measures, most of whose names are attacks."""
    plans = tuple(f"plan={number}" for number in range(7))
    return told_company((*HOSTILE, *plans), (*GROUPS, *HOSTILE[:2]))


@pytest.fixture(scope="session")
def large_html(large: Recommended) -> str:
    return weights_html(large)
