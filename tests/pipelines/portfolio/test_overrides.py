"""Whether overrides beat the model: sums by hand, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

import pandas as pd
import pytest

from pipelines.portfolio import overrides
from pipelines.portfolio.overrides import overrides_report
from pipelines.project.records.overrides import Override, override_book
from tests.pipelines.dashboard.served import company

JANUARY, LATER = date(2024, 1, 1), date(2024, 12, 31)


def made(account: str, meant: float, as_of: date = JANUARY, band: str | None = "at-risk"):
    return Override(
        account_id=account,
        outcome="main",
        band=band,
        reason="their champion left",
        by="ben",
        written_at=datetime(2024, 1, 5),
        until=date(2024, 3, 1),
        as_of=as_of,
        model_version="1",
        band_issued="healthy",
        probability=0.1,
        probability_meant=meant,
    )


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A company of whose accounts the even ones churned."""

    def told(project: object, company: object, days: list[date]) -> Iterator[tuple[date, object]]:
        for day in days:
            happened = {f"A-{number:04d}": float(number % 2 == 0) for number in range(60)}
            yield day, pd.Series(happened)

    monkeypatch.setattr(overrides, "what_happened", told)
    return company(tmp_path / "company", 5)


def recorded(project, *every: Override):
    book = override_book(project.folder)
    for one in every:
        book.record(one)
    return overrides_report(project)


def test_nobody_disputed_anything(project) -> None:
    report = overrides_report(project)
    assert (report.made, report.known, report.gain) == (0, 0, None)
    assert report.sentence == "Nobody has disputed a score yet"


def test_few_are_too_few_and_what_is_not_known_waits(project) -> None:
    report = recorded(
        project,
        made("A-0000", 0.4),
        made("A-0001", 0.4),
        # Disputed again by the same scores, taken back, of nobody known, and not over.
        made("A-0001", 0.3),
        made("A-0001", 0.1, band=None),
        made("gone", 0.4),
        made("A-0002", 0.4, LATER),
    )
    assert (report.made, report.known, report.happened) == (4, 2, 1)
    assert (report.foretold, report.meant) == pytest.approx((0.2, 0.7))
    assert report.gain == pytest.approx(((0.1 - 1) ** 2 - (0.4 - 1) ** 2 + 0.1**2 - 0.3**2) / 2)
    assert report.sentence.startswith("2 overrides of 4 can be held against what happened, too few")


@pytest.mark.parametrize(
    ("churned", "stayed", "begins"),
    [
        (0.9, 0.05, "Overrides beat the model: of 40 overrides, 40 were nearer to what happened"),
        (0.02, 0.9, "The model beat the overrides: of 40 overrides, 0 were nearer"),
        (0.2, 0.424, "Neither overrides nor the model can be said to know better: of 40"),
    ],
)
def test_who_knew_better_is_said(project, churned, stayed, begins) -> None:
    report = recorded(
        project,
        *(made(f"A-{n:04d}", churned if n % 2 == 0 else stayed) for n in range(40)),
    )
    assert report.sentence.startswith(begins), report
    assert report.low < report.gain < report.high
    assert f"{report.happened} churned, the model expected 4.0" in report.sentence
