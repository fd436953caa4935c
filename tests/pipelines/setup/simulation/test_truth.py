"""The truth is what it claims: made of the written record, and drawn from honestly."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.setup.simulation.behaviour import Drift, Month
from pipelines.setup.simulation.chunk import HORIZON_DAYS, LEAD_DAYS, churn_days
from pipelines.setup.simulation.company import PLANS, Accounts, Calendar
from pipelines.setup.simulation.ledger import Recorded, leniency
from pipelines.setup.simulation.simulate import Simulation, simulate
from pipelines.setup.simulation.truth import CONTRIBUTIONS, truth

PLAN_CODE = {plan.name: code for code, plan in enumerate(PLANS)}
# A leap February and a plain one lie inside, where windows of neighbouring months touch.
LEAP = Simulation(accounts=900, months=26, seed=5, start=date(2023, 1, 1))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    folder: Path = tmp_path_factory.mktemp("truth") / "company"
    simulate(folder, LEAP)
    base = duckdb.connect()
    for path in [*folder.glob("*.parquet"), folder / "truth" / "rows.parquet"]:
        base.execute(f"CREATE TABLE {path.stem} AS FROM read_parquet('{path}')")
    return base


LABELS = """
    WITH d AS (SELECT DISTINCT observation_date AS d FROM rows),
    active AS (
        SELECT DISTINCT d, account_id FROM d JOIN subscriptions ON started_at < d
        WHERE ended_at IS NULL OR ended_at >= d
    )
    SELECT d AS observation_date, account_id,
        bool_or(coalesce(churned_at >= d + INTERVAL 14 DAY
                         AND churned_at < d + INTERVAL 44 DAY, false)) AS churned
    FROM active LEFT JOIN churn_events USING (account_id)
    GROUP BY d, account_id
    HAVING NOT bool_or(coalesce(churned_at >= d AND churned_at < d + INTERVAL 14 DAY, false))
    ORDER BY ALL
"""


def test_labels_read_from_the_tables_are_the_draws(base: duckdb.DuckDBPyConnection) -> None:
    labels = base.execute(LABELS).df()
    rows = base.execute("FROM rows ORDER BY observation_date, account_id").df()
    assert len(labels) == len(rows) > 8_000
    assert (labels.account_id == rows.account_id).all()
    assert (labels.observation_date == rows.observation_date).all()
    end = pd.Timestamp(LEAP.end)
    matured = rows.observation_date + pd.Timedelta(days=44) <= end
    assert (labels.churned == rows.churned)[matured].all()
    # Of draws whose window the end cuts off, the record shows those before the end and no other.
    assert (rows.churned | ~labels.churned).all()
    assert rows.churned[matured].sum() > 200


def test_dates_are_the_first_of_every_month(base: duckdb.DuckDBPyConnection) -> None:
    found = base.execute("SELECT DISTINCT observation_date FROM rows ORDER BY 1").df()
    assert found.observation_date.tolist() == list(
        pd.date_range("2023-01-01", periods=26, freq="MS")
    )


@given(st.integers(0, 2_000), st.integers(1, 30))
def test_each_churn_day_belongs_to_one_window_only(first_month: int, index: int) -> None:
    year, month = divmod(first_month, 12)
    firsts = Calendar(date(1970 + year, month + 1, 1), 32).firsts
    opens, closes = churn_days(firsts, index)
    assert closes - opens >= 25
    for day in (opens, closes - 1):
        holding = [d for d in firsts if d + LEAD_DAYS <= day < d + LEAD_DAYS + HORIZON_DAYS]
        assert holding == [firsts[index]]
        # The next date drops the account: it is gone before that window opens.
        assert day < firsts[index + 1] + LEAD_DAYS


RECORD = """
    WITH who AS (SELECT account_id, segment FROM rows WHERE observation_date = $d),
    contract AS (
        SELECT account_id, seats, billing_period = 'annual' AS annual,
            coalesce(date_diff('day', $d, renewal_at), 'inf'::DOUBLE) AS renewal_days
        FROM subscriptions WHERE started_at < $d AND (ended_at IS NULL OR ended_at >= $d)
    ),
    ordered AS (
        SELECT *, lag(ended_at) OVER (PARTITION BY account_id ORDER BY started_at) AS previous
        FROM subscriptions WHERE started_at < $d
    ),
    stint AS (
        SELECT account_id, max(started_at) AS began FROM ordered
        WHERE previous IS NULL OR previous <> started_at GROUP BY 1
    ),
    usage AS (
        SELECT account_id,
            count(*) FILTER (occurred_at >= $d - INTERVAL 28 DAY) AS events,
            count(*) FILTER (occurred_at >= $d - INTERVAL 56 DAY
                             AND occurred_at < $d - INTERVAL 28 DAY) AS events_before,
            count(DISTINCT user_id) FILTER (occurred_at >= $d - INTERVAL 28 DAY) AS users,
            count(DISTINCT feature) FILTER (occurred_at >= $d - INTERVAL 28 DAY) AS features,
            count(DISTINCT feature) FILTER (occurred_at >= $d - INTERVAL 28 DAY
                AND feature IN ('automations', 'integrations', 'api')) AS sticky,
            max(occurred_at) AS last
        FROM usage_events WHERE occurred_at < $d GROUP BY 1
    ),
    support AS (
        SELECT account_id,
            count(*) FILTER (closed_at IS NULL OR closed_at >= $d) AS open_tickets,
            count(*) FILTER (escalated AND (closed_at IS NULL OR closed_at >= $d))
                AS open_escalations,
            max(epoch($d - opened_at) / 86400)
                FILTER (closed_at IS NULL OR closed_at >= $d) AS oldest_days,
            count(*) FILTER (opened_at >= $d - INTERVAL 90 DAY) AS opened
        FROM tickets WHERE opened_at < $d GROUP BY 1
    ),
    bills AS (
        SELECT account_id,
            count(*) FILTER (paid_at IS NULL OR paid_at >= $d) AS overdue,
            avg(greatest(epoch(least(coalesce(paid_at, $d), $d) - due_at), 0) / 86400)
                FILTER (due_at >= $d - INTERVAL 180 DAY) AS late_days,
            sum(failed_attempts) FILTER (due_at >= $d - INTERVAL 90 DAY) AS failed_attempts
        FROM invoices WHERE due_at < $d GROUP BY 1
    ),
    friends AS (
        SELECT account_id,
            count(*) FILTER (referred_at >= $d - INTERVAL 365 DAY) AS referrals,
            count(*) FILTER (converted_at < $d AND converted_at >= $d - INTERVAL 365 DAY)
                AS converted
        FROM referrals WHERE referred_at < $d GROUP BY 1
    ),
    answers AS (
        SELECT account_id, arg_max(score, responded_at) AS nps
        FROM surveys WHERE kind = 'nps' AND responded_at < $d GROUP BY 1
    ),
    lessons AS (
        SELECT account_id, count(*) AS trainings FROM trainings
        WHERE attended_at < $d AND attended_at >= $d - INTERVAL 180 DAY GROUP BY 1
    ),
    fair AS (
        SELECT account_id, avg(rating - leniency) AS rating FROM ratings JOIN raters USING (rater)
        WHERE (account_id, rated_at) IN (
            SELECT (account_id, max(rated_at)) FROM ratings WHERE rated_at < $d GROUP BY account_id)
        GROUP BY 1
    )
    SELECT account_id, segment,
        least(date_diff('day', greatest(began, $start), $d), 28) / 28.0 AS exposure,
        greatest(least(date_diff('day', greatest(began, $start), $d), 56) - 28, 0) / 28.0
            AS exposure_before,
        coalesce(events, 0) AS events, coalesce(events_before, 0) AS events_before,
        coalesce(users, 0) / seats AS active_share,
        epoch($d - greatest(coalesce(last, began), began, $start)) / 86400 AS days_silent,
        coalesce(features, 0) AS features, coalesce(sticky, 0) AS sticky,
        coalesce(open_tickets, 0) AS open_tickets,
        coalesce(open_escalations, 0) AS open_escalations,
        coalesce(oldest_days, 0) AS oldest_days, coalesce(opened, 0) AS opened,
        coalesce(overdue, 0) AS overdue, coalesce(late_days, 0) AS late_days,
        coalesce(failed_attempts, 0) AS failed_attempts, renewal_days, annual,
        coalesce(referrals, 0) AS referrals, coalesce(converted, 0) AS converted, nps,
        coalesce(trainings, 0) AS trainings, rating, date_diff('day', began, $d) AS tenure
    FROM who JOIN contract USING (account_id) JOIN stint USING (account_id)
    LEFT JOIN usage USING (account_id) LEFT JOIN support USING (account_id)
    LEFT JOIN bills USING (account_id) LEFT JOIN friends USING (account_id)
    LEFT JOIN answers USING (account_id) LEFT JOIN lessons USING (account_id)
    LEFT JOIN fair USING (account_id)
    ORDER BY account_id
"""


@pytest.mark.parametrize(
    "day", ["2023-01-01", "2023-02-01", "2023-03-01", "2023-09-01", "2024-03-01", "2025-02-01"]
)
def test_the_odds_follow_from_the_rows_written_before_the_date(
    base: duckdb.DuckDBPyConnection, day: str
) -> None:
    """SQL over the files, as known on the date, leads to the same contributions."""
    raters = pd.DataFrame(
        {"rater": [f"csm-{n + 1:02d}" for n in range(len(leniency()))], "leniency": leniency()}
    )
    base.register("raters", raters)
    known = base.execute(
        RECORD, {"d": pd.Timestamp(day).to_pydatetime(), "start": pd.Timestamp(LEAP.start)}
    ).df()
    rows = base.execute("FROM rows WHERE observation_date = ? ORDER BY account_id", [day]).df()
    assert known.account_id.tolist() == rows.account_id.tolist()
    seen = Recorded(**{f.name: known[f.name].to_numpy(float) for f in fields(Recorded)})
    seen = replace(seen, annual=known.annual.to_numpy(bool))
    odds = truth(seen, known.segment.map(PLAN_CODE).to_numpy(), 14, 30)
    for name in CONTRIBUTIONS:
        written = rows[f"contribution_{name}"].to_numpy()
        np.testing.assert_allclose(odds.contributions[name], written, atol=1e-9, err_msg=name)


def test_log_odds_are_the_sum_of_their_parts(base: duckdb.DuckDBPyConnection) -> None:
    rows = base.execute("FROM rows").df()
    parts = rows[[f"contribution_{name}" for name in CONTRIBUTIONS]].sum(axis=1)
    np.testing.assert_allclose(parts, rows.log_odds, atol=1e-12)
    odds = rows.churn_probability / (1 - rows.churn_probability)
    np.testing.assert_allclose(np.log(odds), rows.log_odds, atol=1e-9)


def test_draws_agree_with_the_probabilities(base: duckdb.DuckDBPyConnection) -> None:
    """Deviations of more than 3.5 binomial standard errors have odds of 1 in 2,000."""
    rows = base.execute("FROM rows").df()
    rows["tenth"] = pd.qcut(rows.churn_probability, 10, labels=False)
    for key in ("segment", "tenth", "observation_date"):
        bins = rows.groupby(key)
        p = rows.churn_probability
        spread = np.sqrt((p * (1 - p)).groupby(rows[key]).sum())
        z = (bins.churned.sum() - bins.churn_probability.sum()) / spread
        assert z.abs().max() < 3.5, key
    # Noise would make draws independent of what is left over: no information beyond the log-odds.
    rest = rows.churned - rows.churn_probability
    for name in CONTRIBUTIONS:
        part = rows[f"contribution_{name}"]
        part = part - part.mean()
        z = (rest * part).sum() / np.sqrt((part**2 * p * (1 - p)).sum())
        assert abs(z) < 3.5, name


def test_churn_of_annual_contracts_gathers_at_the_renewal(
    base: duckdb.DuckDBPyConnection,
) -> None:
    """A twelfth of windows hold a renewal, but much more of the churn."""
    lapsed, churned = base.execute(
        "SELECT count(*) FILTER (churned_at = renewal_at), count(*) FROM churn_events "
        "JOIN subscriptions USING (account_id) "
        "WHERE ended_at = churned_at AND billing_period = 'annual'"
    ).fetchone()
    assert churned > 100
    assert 0.3 < lapsed / churned < 0.9


CALM = Recorded(
    **{
        field.name: np.array([value], dtype=bool if field.name == "annual" else float)
        for field, value in zip(
            fields(Recorded),
            (1, 1, 30, 30, 0.6, 1, 7, 2, 1, 0, 3, 2, 0, 2, 0, 200, 1, 1, 0, 8, 1, 3.5, 400),
            strict=True,
        )
    }
)
WORSE = {
    "events": -1,
    "active_share": -1,
    "days_silent": 1,
    "features": -1,
    "sticky": -1,
    "open_tickets": 1,
    "open_escalations": 1,
    "oldest_days": 1,
    "opened": 1,
    "overdue": 1,
    "late_days": 1,
    "failed_attempts": 1,
    "referrals": -1,
    "converted": -1,
    "nps": -1,
    "trainings": -1,
    "rating": -1,
}


@pytest.mark.parametrize("name", WORSE)
@given(
    plan=st.integers(0, 2),
    state=st.lists(st.floats(0, 1), min_size=len(WORSE), max_size=len(WORSE)),
    low=st.floats(0, 40),
    step=st.floats(0, 40),
)
def test_each_signal_pushes_one_way_in_every_state(
    name: str, plan: int, state: list[float], low: float, step: float
) -> None:
    odds = []
    around = {
        other: np.array([40 * at]) for other, at in zip(WORSE, state, strict=True) if other != name
    }
    for value in (low, low + step):
        seen = replace(CALM, **{**around, name: np.array([value])})
        odds.append(float(truth(seen, np.array([plan]), 14, 30).log_odds[0]))
    assert WORSE[name] * (odds[1] - odds[0]) >= -1e-9


@pytest.mark.parametrize(
    ("days", "inside"), [(13, False), (14, True), (43, True), (44, False), (np.inf, False)]
)
def test_a_renewal_counts_when_it_falls_in_the_window(days: float, inside: bool) -> None:
    away = truth(CALM, np.array([2]), 14, 30).log_odds[0]
    seen = replace(CALM, renewal_days=np.array([days]))
    assert (truth(seen, np.array([2]), 14, 30).log_odds[0] > away + 0.8) == inside


def test_interactions_belong_to_their_groups_in_equal_parts() -> None:
    plan = np.array([1])
    quiet = replace(CALM, events=np.array([2.0]), events_before=np.array([2.0]))
    hurt = replace(CALM, open_escalations=np.array([2.0]))
    both = replace(quiet, open_escalations=np.array([2.0]))
    calm, one, other, together = (
        truth(seen, plan, 14, 30).contributions for seen in (CALM, quiet, hurt, both)
    )
    extra = {
        group: float((together[group] - one[group] - other[group] + calm[group])[0])
        for group in CONTRIBUTIONS
    }
    assert extra["usage"] == pytest.approx(extra["support"])
    assert extra["usage"] > 0.1
    rest = [value for group, value in extra.items() if group not in ("usage", "support")]
    assert rest == pytest.approx([0.0] * len(rest))


def test_a_month_holds_nobody_before_they_came_or_after_they_left() -> None:
    calendar = Calendar(date(2024, 1, 1), 6)
    accounts = Accounts(0, 4, calendar, np.random.default_rng(1))
    first = int(calendar.firsts[2])
    accounts.stint_start[:] = [first - 100, first + 9, first + 200, first - 100]
    accounts.churn_day[3] = first + 4
    month = Month(accounts, 2)
    days = (month.high - month.low) / 86_400
    assert days.tolist() == [31, 22, 0, 4]
    assert month.leaving.tolist() == [False, False, False, True]


def test_drift_begins_at_midnight_of_its_day() -> None:
    day = (date(2024, 5, 3) - date(1970, 1, 1)) // timedelta(days=1)
    moments = np.array([day * 86_400 - 1, day * 86_400])
    assert Drift("payment-crisis", day).stress(moments).tolist() == [0.0, Drift.STRESS_ADDED]
    assert Drift("none", day).stress(moments).tolist() == [0.0, 0.0]
    plan = np.full(20_000, 1)
    kept = Drift("usage-collapse", day).keeps(
        plan, np.repeat(moments, 10_000), np.random.default_rng(3)
    )
    assert kept[:10_000].all()
    assert kept[10_000:].mean() == pytest.approx(Drift.USAGE_LEFT, abs=0.02)
