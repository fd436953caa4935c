"""Each layout gives back the company that its export was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks._vendor_exports import EUR, LAYOUTS, NEEDS_OWN, export, open_truth
from features.packs.opening import open_vendors
from features.packs.pack import known_packs
from features.packs.vendors import IdentitySettings, Vendor
from features.tables.mapping.mapping import TableMapping
from pipelines.setup.simulation.simulate import Simulation, simulate

EXPECTED = {
    "subscriptions": "select count(*) from spans",
    "invoices": "select count(*) from t_invoices",
    "tickets": "select count(*) from tix",
    "usage_events": "select count(*) from ev",
    "surveys": "select count(*) from t_surveys where responded_at is not null"
    " and kind in ('nps', 'csat')",
}


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("truth")
    simulate(folder, Simulation(accounts=40, months=8, seed=5))
    with open_truth(folder) as connection:
        yield connection


def test_every_pack_has_an_export() -> None:
    assert set(LAYOUTS) == set(known_packs())


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_a_layout_gives_back_the_company(truth: Any, name: str, tmp_path: Path) -> None:
    folder = export(truth, name, tmp_path / "data")
    pack = known_packs()[name]
    money = {"currency": "usd", "rates": {"eur": 1 / EUR}} if pack.reads_money else {}
    own = name in NEEDS_OWN
    hub = TableMapping(source="accounts" if own else "it.accounts")
    vendor = {"it": Vendor(pack=name, **money)}  # type: ignore[arg-type]
    opened = open_vendors(str(folder), Path(), "utf-8", vendor, IdentitySettings(), hub)
    with opened as (source, vendors):
        assert vendors is not None
        for table in vendors.raw["it"]:
            rows = source.tables[f"it.{table}"]
            if table == "accounts":
                assert rows.count().execute() >= 40
                assert rows.created_at.type().is_timestamp()
                continue
            (true,) = truth.execute(EXPECTED[table]).fetchone()
            count = int(rows.count().execute())
            linked = int((~rows.account_id.startswith("it:")).sum().execute())
            if name == "mrr-snapshots":
                continue
            assert count == pytest.approx(true, rel=0.07 if table == "usage_events" else 0.005)
            # Anonymous users and addresses of free mail belong to nobody.
            assert linked >= 0.88 * count
            if table == "subscriptions":
                money_true = truth.execute(
                    "select sum(mrr) filter (z is null), count(z) from spans"
                ).fetchone()
                running = rows.filter(rows.ended_at.isnull()).mrr.sum().execute()
                assert running == pytest.approx(money_true[0], rel=0.005)
                assert int(rows.ended_at.count().execute()) == money_true[1]
