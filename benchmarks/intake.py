"""From exports of vendors to a configuration that trains: how much is right without an edit?

A simulated company is turned back into the exports of the tools that companies run, by exporters
that know their public schemas. Each is drafted, and what the draft reads is compared with the
simulated tables.

    python benchmarks/intake.py [--quick] [--json] [--accounts N] [--only LAYOUT ...]

``layouts``           how many layouts were tried
``trainable``         of which the draft, as it is, gives matured dates with both outcomes
``right_share``       share of comparisons within 2 %: accounts, running MRR, churns, and of each
                      table its rows and the share of them that has an account
``combined_auc_gap``  AUC of the contract tables less that of five tools together, of the main
                      holdout; left out with --quick
``combined_arr_gap``, ``combined_linked``  of the same company: share of ARR that is missed, and
                      share of running MRR that is linked
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import duckdb
from _vendor_exports import EUR, LAYOUTS, export, export_combined, open_truth

from features.outcomes.churned import churn_dates
from features.outcomes.settings import OutcomeSettings
from pipelines.project.company import open_company
from pipelines.project.project import load_project
from pipelines.project.rows import labelled_rows
from pipelines.setup.draft import write_draft
from pipelines.setup.drafting.vendors import Answers
from pipelines.setup.simulation.simulate import Simulation, simulate

NEAR, LINKED = 0.02, 0.94
ANSWERS = Answers(currency="usd", rates={"eur": 1 / EUR})
ENDS = "select count(z) from spans"
# Months show an end by the month after it: none of the newest, and none that is bridged.
SEEN_ENDS = """
select count(distinct (account_id, date_trunc('month', z))) from spans s
where date_trunc('month', z) < (select max(date_trunc('month', a)) from spans)
  and not exists (select 1 from spans o where o.account_id = s.account_id
    and o.a < date_trunc('month', s.z) + interval 2 month
    and coalesce(o.z, '9999-01-01') > date_trunc('month', s.z) + interval 1 month)
"""
TRUE_ROWS = {
    "tickets": "select count(*) from tix",
    "usage_events": "select count(*) from ev",
    "invoices": "select count(*) from t_invoices",
    "surveys": "select count(*) from t_surveys where responded_at is not null"
    " and kind in ('nps', 'csat')",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="How much of vendors' exports is read right?")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--accounts", type=int, default=600)
    parser.add_argument("--only", nargs="*", default=sorted(LAYOUTS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        simulate(folder / "truth", Simulation(accounts=options.accounts, months=24, seed=7))
        truth = open_truth(folder / "truth")
        figures = {}
        for name in options.only:
            figures[name] = measure(truth, name, folder)
            if not options.json:
                show(name, figures[name])
        answer = summed(figures)
        answer |= combined(truth, folder, quick=options.quick)
    print(json.dumps(answer if options.json else {k: v for k, v in answer.items() if k != "each"}))


def measure(truth: duckdb.DuckDBPyConnection, layout: str, folder: Path) -> dict[str, Any]:
    """Draft one layout and compare what the draft reads."""
    source = export(truth, layout, folder / layout)
    started = time.perf_counter()
    config = folder / f"{layout}.toml"
    try:
        write_draft(source, config, force=True, answers=ANSWERS)
        seconds = time.perf_counter() - started
        project = load_project(config)
        with open_company(project) as company:
            checks = compared(truth, company, SEEN_ENDS if layout == "mrr-snapshots" else ENDS)
            rows = labelled_rows(project, company)
        happened = rows.frame["happened"]
        return {
            "trainable": bool(0 < happened.sum() < len(happened)),
            "checks": checks,
            "seconds": round(seconds, 1),
        }
    except Exception as error:
        return {"trainable": False, "checks": {}, "seconds": 0.0, "error": str(error)[:200]}


def compared(
    truth: duckdb.DuckDBPyConnection, company: Any, query_of_ends: str = ENDS
) -> dict[str, bool]:
    """Compare a company with the simulated tables: each within 2 %."""
    checks: dict[str, bool] = {}
    contracts = company.tables["subscriptions"].cleaned.execute()
    known = set(company.tables["accounts"].cleaned.execute()["account_id"])
    live = contracts[contracts["account_id"].isin(known)]
    query = "select count(distinct account_id), sum(mrr) filter (z is null) from spans"
    accounts, mrr = one(truth, query)
    (ends,) = one(truth, query_of_ends)
    checks["accounts"] = near(live["account_id"].nunique(), accounts)
    if "mrr" in live:
        checks["running MRR"] = near(live.loc[live["ended_at"].isna(), "mrr"].sum(), mrr)
    churns = int(churn_dates(company, OutcomeSettings()).count().execute())
    checks["churns"] = near(churns, ends)
    for name, query in TRUE_ROWS.items():
        if name in company.tables:
            rows = company.tables[name].cleaned
            total, (true,) = int(rows.count().execute()), one(truth, query)
            linked = int(rows.filter(rows.account_id.isin(sorted(known))).count().execute())
            # Anonymous events belong to nobody.
            checks[f"rows of {name}"] = near(total, true, 0.06 if name == "usage_events" else NEAR)
            checks[f"links of {name}"] = linked >= LINKED * total
    return checks


def one(truth: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    return truth.execute(query).fetchone() or ()


def near(value: float, true: float, tolerance: float = NEAR) -> bool:
    return bool(abs(value - true) <= tolerance * abs(true))


def summed(figures: dict[str, dict[str, Any]]) -> dict[str, Any]:
    checks = [right for found in figures.values() for right in found["checks"].values()]
    return {
        "layouts": len(figures),
        "trainable": sum(found["trainable"] for found in figures.values()),
        "right_share": round(sum(checks) / max(len(checks), 1), 3),
        "each": figures,
    }


def combined(truth: duckdb.DuckDBPyConnection, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Draft five tools' exports in one folder, and teach them beside the contract tables."""
    from pipelines.setup.links import report_links

    source = export_combined(truth, folder / "combined")
    config, contract = folder / "combined.toml", folder / "contract.toml"
    write_draft(source, config, force=True, answers=ANSWERS)
    stripe = next(e for e in report_links(load_project(config)).systems if e.system == "stripe")
    (true,) = one(truth, "select sum(mrr) from t_subscriptions where ended_at is null")
    figures = {
        "combined_arr_gap": round(abs((stripe.linked_mrr or 0) - true) / true, 4),
        "combined_linked": round((stripe.linked_mrr or 0) / (stripe.running_mrr or 1), 4),
    }
    if quick:
        return figures
    from pipelines.training.train import train

    write_draft(folder / "truth", contract, force=True)
    aucs = []
    for place in (contract, config):
        trained = train(load_project(place)).to_dict()
        aucs.append(trained["metrics"]["auc"])
    return figures | {"combined_auc_gap": round(aucs[0] - aucs[1], 4), "aucs": aucs}


def show(name: str, found: dict[str, Any]) -> None:
    wrong = [check for check, right in found["checks"].items() if not right]
    words = f"not right: {', '.join(wrong)}" if wrong else "all right"
    state = "trains" if found["trainable"] else f"does not train {found.get('error', '')}"
    print(
        f"{name:20} {state}; {len(found['checks'])} comparisons, {words}; {found['seconds']} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
