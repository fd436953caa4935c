"""The demo company keeps its word: the tables hold together and the truth beside them is exact."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from pipelines.setup.simulation import simulate as module
from pipelines.setup.simulation.simulate import Simulation, simulate
from tests.pipelines.setup.simulation.demo_company import CONTRACT, WEIGHED, read, stints

OWN_TIME = {
    "usage_events": "occurred_at",
    "tickets": "opened_at",
    "invoices": "issued_at",
    "referrals": "referred_at",
    "surveys": "sent_at",
    "trainings": "attended_at",
    "ratings": "rated_at",
    "interventions": "occurred_at",
}
LATER = {
    "tickets": ("first_response_at", "closed_at"),
    "invoices": ("due_at", "paid_at", "refunded_at"),
    "referrals": ("converted_at",),
    "surveys": ("responded_at",),
}
SMALL = Simulation(accounts=700, months=16, seed=11, start=date(2023, 2, 1))
END = pd.Timestamp(2024, 6, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "company"
    simulate(folder, SMALL)
    return folder


@pytest.fixture(scope="module")
def tables(folder: Path) -> dict[str, pd.DataFrame]:
    return read(folder)


def test_tables_have_the_contract_columns_in_order(folder: Path) -> None:
    found = {path.stem for path in folder.glob("*.parquet")}
    assert found == set(CONTRACT)
    for table, columns in CONTRACT.items():
        assert pq.read_schema(folder / f"{table}.parquet").names == columns.split()


def test_every_row_belongs_to_an_account(tables: dict[str, pd.DataFrame]) -> None:
    ids = tables["accounts"].account_id
    assert ids.tolist() == [f"A-{number:05d}" for number in range(1, 701)]
    for name, table in tables.items():
        assert table.account_id.isin(ids).all(), name
    assert tables["tickets"].ticket_id.is_unique
    usage = tables["usage_events"]
    assert (usage.user_id.str.rsplit("-", n=1).str[0] == usage.account_id).all()
    merged = tables["subscriptions"].merge(tables["accounts"], on="account_id")
    assert (merged.plan_x == merged.plan_y).all()


def test_numbers_stay_in_range(tables: dict[str, pd.DataFrame]) -> None:
    for name, table in tables.items():
        if name == "truth/rows":
            continue
        numbers = table.select_dtypes("number").drop(columns="sentiment", errors="ignore")
        assert (numbers.fillna(0) >= 0).all().all(), name
    limits = {"nps": (0, 10), "csat": (1, 5), "ces": (1, 7)}
    answers = tables["surveys"].dropna(subset="responded_at").groupby("kind").score
    for kind, (low, high) in limits.items():
        assert answers.get_group(kind).between(low, high).all()
    assert (tables["surveys"].score.dropna() % 1 == 0).all()
    assert tables["ratings"].rating.between(1, 5).all()
    assert tables["tickets"].csat.dropna().between(1, 5).all()
    assert tables["tickets"].sentiment.between(-1, 1).all()
    assert (tables["usage_events"].quantity >= 1).all()
    assert (tables["subscriptions"].seats >= 1).all()
    assert (tables["subscriptions"].mrr > 0).all()


def test_nothing_happens_outside_the_record(tables: dict[str, pd.DataFrame]) -> None:
    created = tables["accounts"].set_index("account_id").created_at
    assert created.max() < END
    assert (created >= pd.Timestamp(SMALL.start) - pd.DateOffset(years=3)).all()
    for name, table in tables.items():
        scheduled = ["renewal_at", "due_at"]
        moments = table.select_dtypes("datetime").drop(columns=scheduled, errors="ignore")
        assert (moments.fillna(pd.Timestamp(1970, 1, 1)) < END).all().all(), name
        for column in moments.columns.difference(["created_at"]):
            born = table.account_id.map(created)
            assert (moments[column].isna() | (moments[column] >= born)).all(), (name, column)
        if name in OWN_TIME:
            assert table[OWN_TIME[name]].min() >= pd.Timestamp(SMALL.start), name


def test_nothing_happens_while_an_account_is_gone(tables: dict[str, pd.DataFrame]) -> None:
    spans = stints(tables)
    for name, column in OWN_TIME.items():
        table = tables[name].reset_index()
        inside = table.merge(spans, on="account_id")
        moment = inside[column]
        inside = inside[(moment >= inside.started_at) & (moment < inside.ended_at)]
        assert inside["index"].is_unique
        assert len(inside) == len(table), name
        # What is filled in later comes in time as well, or on the day the account is back.
        for later in LATER.get(name, ()):
            if later == "due_at":
                continue
            late = inside[inside[later] >= inside.ended_at]
            backs = spans.groupby("account_id").started_at.agg(set)
            known = [at in backs[who] for who, at in zip(late.account_id, late[later], strict=True)]
            assert all(known), (name, later)


def test_later_moments_follow_their_row(tables: dict[str, pd.DataFrame]) -> None:
    for name, columns in LATER.items():
        table = tables[name]
        for column in columns:
            late = table[column] - table[OWN_TIME[name]]
            assert (late.dropna() >= pd.Timedelta(0)).all(), (name, column)
    tickets, invoices = tables["tickets"], tables["invoices"]
    both = tickets.dropna(subset=["first_response_at", "closed_at"])
    assert (both.first_response_at <= both.closed_at).all()
    assert tickets.csat[tickets.closed_at.isna()].isna().all()
    assert not tickets.reopened[tickets.closed_at.isna()].any()
    assert invoices.paid_at[invoices.refunded_at.notna()].notna().all()
    assert (invoices.failed_attempts[invoices.due_at >= END] == 0).all()
    surveys = tables["surveys"]
    answered = surveys.responded_at.notna()
    assert (surveys.sent_at < surveys.responded_at)[answered].all()
    assert (surveys.score.notna() == answered).all()
    assert 0.2 < answered.mean() < 0.5


def test_subscriptions_are_unbroken_and_end_with_the_churn(
    tables: dict[str, pd.DataFrame],
) -> None:
    rows = tables["subscriptions"].sort_values(["account_id", "started_at"])
    assert (rows.ended_at.isna() | (rows.ended_at > rows.started_at)).all()
    successor = rows.groupby("account_id").started_at.shift(-1)
    assert (successor.isna() | (rows.ended_at <= successor)).all()
    assert rows.ended_at[successor.notna()].notna().all()
    left = rows[rows.ended_at.notna() & (rows.ended_at != successor)]
    churns = tables["churn_events"].sort_values(["account_id", "churned_at"])
    assert left.account_id.tolist() == churns.account_id.tolist()
    assert left.ended_at.tolist() == churns.churned_at.tolist()
    assert (rows.started_at.dt.day > 1).all()
    first = rows.drop_duplicates("account_id").set_index("account_id").started_at
    created = tables["accounts"].set_index("account_id").created_at
    assert first.sort_index().equals(created.sort_index().rename("started_at"))
    annual = rows.billing_period == "annual"
    assert rows.renewal_at[annual].notna().all()
    assert rows.renewal_at[~annual].isna().all()
    assert (rows.ended_at[annual].isna() | (rows.ended_at <= rows.renewal_at)[annual]).all()


def test_equal_settings_give_equal_bytes_and_their_counts(
    folder: Path, tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    rows = simulate(tmp_path / "again", SMALL)
    assert rows == {name: len(tables[name]) for name in CONTRACT}
    for path in folder.rglob("*.*"):
        again = tmp_path / "again" / path.relative_to(folder)
        assert again.read_bytes() == path.read_bytes(), path.name


def test_another_seed_gives_another_company(folder: Path, tmp_path: Path) -> None:
    simulate(tmp_path / "other", Simulation(**{**vars(SMALL), "seed": 12}))
    for table in CONTRACT:
        one, other = (pd.read_parquet(f / f"{table}.parquet") for f in (folder, tmp_path / "other"))
        assert not one.equals(other), table


def test_a_chunk_does_not_depend_on_those_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", 40)
    simulate(tmp_path / "two", Simulation(accounts=80, months=8))
    simulate(tmp_path / "three", Simulation(accounts=120, months=8))
    two, three = read(tmp_path / "two"), read(tmp_path / "three")
    assert three["accounts"].account_id.is_unique
    assert three["tickets"].ticket_id.is_unique
    for name, table in two.items():
        inside = three[name][three[name].account_id.isin(two["accounts"].account_id)]
        pd.testing.assert_frame_equal(inside.reset_index(drop=True), table)
    first, second = (
        three["accounts"].created_at[at : at + 40].reset_index(drop=True) for at in (0, 40)
    )
    assert not first.equals(second)


@pytest.mark.parametrize("start", [date(2024, 2, 1), date(1999, 12, 1)])
def test_the_smallest_company(tmp_path: Path, start: date) -> None:
    rows = simulate(tmp_path / "one", Simulation(accounts=1, months=6, start=start))
    assert rows["accounts"] == 1
    assert set(rows) == set(CONTRACT)


def test_settings_are_kept_beside_the_truth(folder: Path) -> None:
    kept = json.loads((folder / "truth" / "weights.json").read_text())
    assert kept["simulation"] == {
        "contracts": "loose",
        "accounts": 700,
        "months": 16,
        "seed": 11,
        "start": "2023-02-01",
        "drift": "none",
        "drift_from": None,
    }
    assert kept["weights_from"] == "2023-04-01"


def test_default_drift_begins_two_thirds_through() -> None:
    assert Simulation(drift="payment-crisis").drift_day == date(2025, 5, 1)
    assert Simulation(months=7, start=date(2023, 11, 1)).end == date(2024, 6, 1)


DRIFTS: tuple[module.DriftKind, ...] = ("payment-crisis", "usage-collapse")
DRIFT_DAY = date(2023, 12, 12)


@pytest.fixture(scope="module")
def drifted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same company with each drift, from the middle of a month on."""
    folder = tmp_path_factory.mktemp("drifted")
    for drift in DRIFTS:
        settings = {**vars(SMALL), "drift": drift, "drift_from": DRIFT_DAY}
        simulate(folder / drift, Simulation(**settings))
    return {drift: folder / drift for drift in DRIFTS}


def unchanged(one: pd.DataFrame, other: pd.DataFrame, column: str, day: pd.Timestamp) -> None:
    """Check rows before a day, blanking moments on or after it."""
    frames = []
    for table in (one, other):
        rows = table[table[column] < day].copy()
        for moment in rows.select_dtypes("datetime"):
            rows[moment] = rows[moment].where(rows[moment] < day)
        late = [c for c in ("csat", "reopened", "failed_attempts") if c in rows]
        frames.append(rows.drop(columns=late).reset_index(drop=True))
    pd.testing.assert_frame_equal(*frames)


@pytest.mark.parametrize("drift", DRIFTS)
def test_drift_changes_nothing_before_its_day(
    drift: str, tables: dict[str, pd.DataFrame], drifted: dict[str, Path]
) -> None:
    changed = read(drifted[drift])
    since = pd.Timestamp(DRIFT_DAY)
    for name, column in {**OWN_TIME, "truth/rows": "observation_date"}.items():
        unchanged(tables[name], changed[name], column, since)
        touched = "invoices" if drift == "payment-crisis" else "usage_events"
        if name == touched:
            assert not tables[name].equals(changed[name])
    kept = json.loads((drifted[drift] / "truth" / "weights.json").read_text())
    assert kept["simulation"]["drift_from"] == "2023-12-12"


def test_payment_crisis_leaves_invoices_unpaid(
    tables: dict[str, pd.DataFrame], drifted: dict[str, Path]
) -> None:
    crisis = pd.read_parquet(drifted["payment-crisis"] / "invoices.parquet")

    def late(invoices: pd.DataFrame) -> float:
        rows = invoices[invoices.issued_at.between("2023-12-12", "2024-03-12")]
        return float((~(rows.paid_at <= rows.due_at)).mean())

    assert late(crisis) > late(tables["invoices"]) + 0.25


def test_usage_collapse_hits_one_plan_only(tables: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    settings = {**vars(SMALL), "drift": "usage-collapse", "drift_from": date(2023, 12, 1)}
    simulate(tmp_path / "x", Simulation(**settings))
    plan = tables["accounts"].set_index("account_id").plan

    def rows(usage: pd.DataFrame) -> pd.Series:
        month = usage[usage.occurred_at.between("2023-12-01", "2024-01-01")]
        return month.account_id.map(plan).value_counts()

    left = rows(pd.read_parquet(tmp_path / "x" / "usage_events.parquet")) / rows(
        tables["usage_events"]
    )
    assert left["growth"] == pytest.approx(0.35, abs=0.03)
    assert left[["starter", "enterprise"]].tolist() == [1.0, 1.0]


def test_weights_follow_their_definition(folder: Path, tables: dict[str, pd.DataFrame]) -> None:
    kept = json.loads((folder / "truth" / "weights.json").read_text())["weights"]
    rows = tables["truth/rows"].query("observation_date >= '2023-04-01'")
    assert set(kept) == {"starter", "growth", "enterprise"}
    for segment, weights in kept.items():
        parts = rows.loc[rows.segment == segment, [f"contribution_{group}" for group in WEIGHED]]
        size = (parts - parts.mean()).abs().mean()
        expected = 100 * size / size.sum()
        assert list(weights) == list(WEIGHED)
        assert list(weights.values()) == pytest.approx(expected.to_numpy(), abs=6e-4)
        assert sum(weights.values()) == pytest.approx(100, abs=0.01)
