"""Every number of the appendix, recomputed from the tables and from the hold-out."""

from __future__ import annotations

import itertools

import duckdb
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from pipelines.weights.evidence_ratings import OBJECTIVE
from tests.models.ranked import auc_within
from tests.pipelines.evidence_by_hand import graded, interval_by_hand

pytestmark = pytest.mark.xdist_group("evidence")

HOSTILE = "<script>alert(1)</script>"
STARTER = "plan=[/bold]\x1b[31mstarter"


@pytest.fixture
def sql(taught):
    """Ask the source tables."""

    def ask(query, *parameters):
        with duckdb.connect() as connection:
            for table in ("ratings", "referrals", "churn_events", "accounts", "tickets"):
                file = taught.data / f"{table}.parquet"
                connection.execute(f"create view {table} as select * from '{file}'")
            return connection.execute(query, list(parameters)).df()

    return ask


def test_the_measures_are_those_of_the_hold_out(known):
    rows, found = known.rows, known.found
    assert found.metrics.rows == len(rows)
    assert found.metrics.positives == rows["happened"].sum()
    dates = rows["observation_date"]
    assert found.metrics.auc.value == pytest.approx(
        auc_within(rows["happened"], rows["probability"], dates)
    )
    assert found.metrics.log_loss.value == pytest.approx(
        log_loss(rows["happened"], rows["probability"])
    )
    bounds = interval_by_hand(rows, rows["probability"], dates=dates)
    assert [found.metrics.auc.low, found.metrics.auc.high] == pytest.approx(bounds)
    matured = known.frame["observation_date"] + pd.Timedelta(days=known.model.maturity_days)
    base = known.frame.loc[matured <= rows["observation_date"].min(), "happened"].mean()
    expected = log_loss(rows["happened"], np.full(len(rows), base))
    assert found.metrics.log_loss_base == pytest.approx(expected)
    # Accounts of no segment of their own are "all" by name, and must not stand for everybody.
    assert "all" in set(rows["segment"])
    assert set(found.segment_metrics) == set(rows["segment"]) - {"all"}
    for name, measured in found.segment_metrics.items():
        part = rows[rows["segment"] == name]
        assert (measured.rows, measured.positives) == (len(part), part["happened"].sum())
        assert measured.auc.value == pytest.approx(
            auc_within(part["happened"], part["probability"], part["observation_date"])
        )


def test_bands_and_calibration_add_up_to_the_hold_out(known):
    rows, scale = known.rows, known.model.scale
    cuts = {
        "at-risk": rows["probability"] >= scale.at_risk_from,
        "watch": rows["probability"].between(scale.watch_from, scale.at_risk_from, "left"),
        "healthy": rows["probability"] < scale.watch_from,
    }
    assert [row["band"] for row in known.found.bands] == list(cuts)
    for row in known.found.bands:
        part = rows[cuts[row["band"]]]
        assert (row["rows"], row["positives"]) == (len(part), part["happened"].sum())
        assert row["observed_rate"] == pytest.approx(part["happened"].mean())
        assert row["expected_rate"] == pytest.approx(part["probability"].mean())
        assert row["low"] <= row["observed_rate"] <= row["high"]
    assert known.found.bands == known.model.bands


def test_calibration_adds_up_where_outcomes_are_enough(known):
    rows = known.rows
    own = rows[rows["segment"] != "all"].groupby("segment")["happened"].sum()
    assert set(known.found.calibration) == {"all", *own.index[own >= 20]}
    for name, table in known.found.calibration.items():
        part = rows if name == "all" else rows[rows["segment"] == name]
        happened = part["happened"].sum()
        assert len(table) == min(10, happened // 5)
        assert (table["rows"].sum(), table["positives"].sum()) == (len(part), happened)
        assert np.ptp(table["rows"]) <= 1
        place = np.argsort(part["probability"].to_numpy())
        lowest = part.iloc[place[: table["rows"].iloc[0]]]
        assert table["expected_rate"].iloc[0] == pytest.approx(lowest["probability"].mean())
        assert table["observed_rate"].iloc[0] == pytest.approx(lowest["happened"].mean())


def test_the_warning_came_as_early_as_the_scores_of_the_time_say(known, sql):
    churns = sql("select account_id, churned_at from churn_events")
    rows, scale = known.rows, known.model.scale
    dates = sorted(rows["observation_date"].unique())
    apart = max(b - a for a, b in itertools.pairwise(dates))
    scored = rows.set_index(["account_id", "observation_date"])["probability"].to_dict()
    lead = known.found.lead.set_index("days_before")
    for days in (30, 60):
        flagged = []
        for account, churned in churns.itertuples(index=False):
            day = churned - pd.Timedelta(days=days)
            before = [d for d in dates if d <= day and day - d <= apart and (account, d) in scored]
            if before:
                flagged.append(scored[account, before[-1]] >= scale.at_risk_from)
        assert lead.loc[days, "events"] == len(flagged)
        if flagged:
            assert lead.loc[days, "at_risk"] == pytest.approx(np.mean(flagged))


def test_ratings_are_counted_and_judged_beside_what_customers_do(known, sql):
    rows, told = known.rows, known.found.ratings
    day = rows["observation_date"].max()
    assert told.as_of == day.date()
    counted = sql(
        "select count(distinct rater), count(*), count(distinct account_id), min(rating),"
        " max(rating) from ratings where rated_at < ? and rated_at >= ? - interval 365 day",
        day.to_pydatetime(),
        day.to_pydatetime(),
    ).iloc[0]
    counts = (told.raters, told.ratings, told.accounts, told.lowest, told.highest)
    assert counts == tuple(counted)
    assert told.rated_share == pytest.approx(rows["rating_overall"].notna().mean())
    assert 0 < told.share_of_variance < 1
    assert told.strictest < 0 < told.most_lenient
    assert told.spread > 0

    part = rows[rows["rating_overall"].notna()]
    past = known.frame["observation_date"] + pd.Timedelta(days=known.model.maturity_days)
    past = known.frame[(past <= rows["observation_date"].min())]
    past = past[past["rating_overall"].notna()]
    aucs = {
        group: roc_auc_score(past["happened"], -graded(past, past, known.signals, group))
        for group in OBJECTIVE
    }
    # Percentiles by hand and by a table of 101 steps differ a little.
    assert aucs[told.objective] > max(aucs.values()) - 0.02
    assert told.rating.rows == told.measured.rows == len(part)
    assert told.rating.positives == part["happened"].sum()
    assert told.rating.auc == pytest.approx(
        roc_auc_score(part["happened"], -part["rating_overall"])
    )
    bounds = interval_by_hand(part, -part["rating_overall"])
    assert [told.rating.low, told.rating.high] == pytest.approx(bounds)
    risk = -graded(part, past, known.signals, told.objective)
    assert told.measured.auc == pytest.approx(roc_auc_score(part["happened"], risk), abs=0.02)
    assert told.ahead.value == pytest.approx(told.rating.auc - told.measured.auc)
    assert told.ahead.low < told.ahead.value < told.ahead.high
    assert told.sentence == (
        f"In the year before {told.as_of}, {told.raters} people gave {told.ratings:,} ratings of"
        f" {told.accounts} accounts, on levels from 1 to 5. Who rates moves a rating by"
        f" {told.spread:.2f} levels up or down, which is {100 * told.share_of_variance:.0f} % of"
        " why ratings differ; it is taken off before ratings count. Asked which of two accounts"
        f" churned, ratings alone are right in {100 * told.rating.auc:.0f} % of cases (between"
        f" {100 * told.rating.low:.0f} % and {100 * told.rating.high:.0f} %), where a coin is right"
        f" in 50 %; the measure of {told.objective} is right in {100 * told.measured.auc:.0f} % of"
        f" cases (between {100 * told.measured.low:.0f} % and {100 * told.measured.high:.0f} %)."
    )


def test_referrals_are_those_made_and_stand_beside_each_survey(known, sql):
    found = {entry["signal"]: entry for entry in known.found.referrals_vs_nps}
    assert [*found][:2] == ["referrals_365d", "nps_last"]
    # Made in the year before each date, counted in the source.
    keys = known.frame[["account_id", "observation_date", "happened", "nps_last"]]
    made = sql("select account_id, referred_at from referrals")
    pairs = keys.merge(made, on="account_id")
    age = pairs["observation_date"] - pairs["referred_at"]
    recent = pairs[(age > pd.Timedelta(0)) & (age <= pd.Timedelta(days=365))]
    counts = recent.groupby(["account_id", "observation_date"]).size().rename("made").reset_index()
    keys = keys.merge(counts, how="left", on=["account_id", "observation_date"])
    keys["made"] = keys["made"].fillna(0)
    own = found["referrals_365d"]
    assert own["rows"] == len(keys)
    assert own["auc"] == pytest.approx(roc_auc_score(keys["happened"], -keys["made"]))
    assert [own["low"], own["high"]] == pytest.approx(interval_by_hand(keys, -keys["made"]))

    both = keys.dropna(subset="nps_last")
    nps = found["nps_last"]
    assert (nps["direction"], nps["declared"], nps["group"]) == ("higher", True, "surveys")
    assert nps["rows"] == nps["shared_rows"] == own["shared_rows"] == len(both) < len(keys)
    auc = roc_auc_score(both["happened"], -both["nps_last"])
    assert nps["auc"] == nps["shared_auc"] == own["other_auc"] == pytest.approx(auc)
    bounds = interval_by_hand(both, -both["nps_last"])
    assert [nps["shared_low"], nps["shared_high"]] == pytest.approx(bounds)
    auc = roc_auc_score(both["happened"], -both["made"])
    assert own["shared_auc"] == nps["other_auc"] == pytest.approx(auc)
    assert (own["other"], nps["other"]) == ("nps_last", "referrals_365d")
    assert (own["other_label"], nps["other_label"]) == ("Last NPS answer", "Referrals made")
    assert nps["ahead"] == -own["ahead"] == pytest.approx(nps["shared_auc"] - own["shared_auc"])
    assert nps["ahead_low"] == pytest.approx(-own["ahead_high"])
    assert nps["ahead_low"] < nps["ahead"] < nps["ahead_high"]


def test_sensitive_attributes_are_audited_with_whatever_names_they_have(known, sql):
    audit = known.found.audit.set_index("level")
    assert set(audit["attribute"]) == {"plan"}
    plan = sql("select account_id, plan from accounts").set_index("account_id")["plan"]
    counts = known.rows["account_id"].map(plan).value_counts()
    assert audit["rows"].to_dict() == counts.to_dict()
    assert "[/bold]\x1b[31mstarter" in audit.index
    called = known.rows["probability"] >= known.model.scale.at_risk_from
    for level, row in audit.iterrows():
        inside = (known.rows["account_id"].map(plan) == level) & (known.rows["happened"] == 1)
        missed = (~called[inside]).mean()
        assert row["false_negative_rate"] == pytest.approx(missed, nan_ok=True)


def test_each_table_says_what_it_holds(known, sql):
    quality = {entry["table"]: entry for entry in known.found.quality}
    assert set(quality) == set(known.company.tables)
    facts = sql("select count(*), count(distinct account_id), min(opened_at) from tickets").iloc[0]
    assert tuple(quality["tickets"][key] for key in ("rows", "accounts", "first")) == tuple(facts)
    for entry in quality.values():
        assert entry["problems"] == list(known.company.quality[entry["table"]].problems)
