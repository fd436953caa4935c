"""The company that nobody asked otherwise for: its size, who leaves it and why."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.errors import SettingsError
from pipelines.setup.simulation.simulate import Simulation, simulate
from tests.pipelines.setup.simulation.demo_company import WEIGHED, read, stints


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("full") / "company"
    simulate(folder, Simulation())
    return read(folder)


def test_some_accounts_come_back(full: dict[str, pd.DataFrame]) -> None:
    spans = stints(full)
    again = spans[spans.number > 1]
    assert len(again) > 30
    gap = again.started_at - spans.groupby("account_id").ended_at.shift().loc[again.index]
    assert gap.min() > pd.Timedelta(days=28)


def test_size_and_shares_of_the_default_company(full: dict[str, pd.DataFrame]) -> None:
    share = full["accounts"].plan.value_counts(normalize=True)
    assert share.to_dict() == pytest.approx(
        {"starter": 0.55, "growth": 0.30, "enterprise": 0.15}, abs=0.04
    )
    assert 900_000 < len(full["usage_events"]) < 1_500_000
    assert full["usage_events"].feature.nunique() == 12
    existing = full["accounts"].created_at < "2024-01-01"
    assert existing.mean() == pytest.approx(0.5, abs=0.04)
    per_day = full["usage_events"].occurred_at.dt.day_of_week.value_counts() / 104
    assert per_day[[5, 6]].max() < 0.5 * per_day[[0, 1, 2, 3, 4]].min()


def test_managers_act_more_on_accounts_at_risk(full: dict[str, pd.DataFrame]) -> None:
    rows = full["truth/rows"]
    plays = full["interventions"]
    month = plays.occurred_at.dt.to_period("M").dt.start_time
    treated = rows.merge(
        pd.DataFrame({"account_id": plays.account_id, "observation_date": month}),
        on=["account_id", "observation_date"],
    )
    assert treated.churn_probability.mean() > 3 * rows.churn_probability.mean()


def test_the_plans_differ_in_what_drives_them_away(full: dict[str, pd.DataFrame]) -> None:
    rows = full["truth/rows"]
    size = rows.groupby("segment")[[f"contribution_{group}" for group in WEIGHED]].std()
    share = size.div(size.sum(axis=1), axis=0).rename(columns=lambda c: c.split("_")[1])
    assert share.idxmax(axis=1).to_dict() == {
        "starter": "usage",
        "growth": "adoption",
        "enterprise": "support",
    }
    rest = share[["surveys", "enablement", "relationship"]].sum(axis=1)
    assert 0.08 < rest.mean() < 0.20
    assert (share > 0.01).all().all()


def test_truth_explains_a_substantial_part(full: dict[str, pd.DataFrame]) -> None:
    rows = full["truth/rows"]
    rank = rows.churn_probability.rank()
    churned = rows.churned
    auc = (rank[churned].mean() - (churned.sum() + 1) / 2) / (~churned).sum()
    assert 0.78 < auc < 0.87
    rate = rows.groupby("segment").churn_probability.mean()
    assert rate["starter"] > rate["growth"] > rate["enterprise"]
    assert 0.025 < rows.churn_probability.mean() < 0.04
    assert np.isfinite(rows.select_dtypes("number")).all().all()


def test_firm_contracts_are_left_when_they_renew(tmp_path) -> None:
    settings = {"accounts": 600, "months": 18, "seed": 3}
    simulate(tmp_path / "firm", Simulation(**settings, contracts="firm"))
    simulate(tmp_path / "loose", Simulation(**settings))
    share = {}
    for kind in ("firm", "loose"):
        terms = pd.read_parquet(tmp_path / kind / "subscriptions.parquet")
        annual = terms[(terms.billing_period == "annual") & terms.ended_at.notna()]
        left = pd.read_parquet(tmp_path / kind / "churn_events.parquet")
        last = annual.merge(
            left, left_on=["account_id", "ended_at"], right_on=["account_id", "churned_at"]
        )
        share[kind] = (last.ended_at == last.renewal_at).mean()
        truth = pd.read_parquet(tmp_path / kind / "truth" / "rows.parquet")
        assert (truth.probability_if_due >= truth.churn_probability - 1e-12).all()
        monthly = set(terms.account_id) - set(terms[terms.renewal_at.notna()].account_id)
        own = truth[truth.account_id.isin(monthly)]
        assert own.probability_if_due.to_numpy() == pytest.approx(own.churn_probability)
        years = (terms.renewal_at - terms.started_at).dt.days.dropna() / 365.25
        assert (years.max() > 2.9) == (kind == "firm")
    assert share["firm"] > 0.85 > share["loose"]


def test_contracts_of_another_kind_are_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        Simulation(contracts="soft")  # type: ignore[arg-type]
    assert str(caught.value) == "The simulation's 'contracts' must be loose or firm; got 'soft'."
