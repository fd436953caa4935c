"""Does the score tell who is unwell, months before a contract renews?

    python benchmarks/time.py [COMPANY ...] [--seeds S ...] [--accounts N] [--quick] [--json]
        [--survival PYTHON]

Companies are drawn at random, nine in ten accounts on annual contracts, unless they are named: a
``COMPANY`` is a folder with ``healthscore.toml``, tables and ``truth/rows.parquet``, for each
account and month ``p_if_due``, the true risk had its contract been up for renewal. A model is
taught what had matured before the newest six months and speaks of them. Means over the companies:

``captured_if_due``        share of the expected log loss that can be explained which the score
                           explains, over all accounts, due or not: of -p log q - (1 - p) log(1 - q)
                           with p the true risk at a decision, between its mean and p itself
``captured_if_due_before`` the same of a score of the risk in the outcome window
``auc_180``, ``auc_90``, ``auc_30``  AUC of the score about so many days before a renewal, against
                           renewed or not, by a model of what matured eight months before the end
``auc_180_before`` and so on  the same of a score of the risk in the window

``crossings``              curves that fall from one horizon to the next, of a model of what
                           had matured a year before the end
``ece_worst_horizon``      largest expected calibration error of them at a horizon, in ten parts
``curve_log_loss``         their mean log loss over the horizons
``best_peer``              the least mean log loss among peers: Cox with a ridge, a discrete hazard
                           of plain LightGBM, five separate models and, where ``--survival``
                           names an interpreter that has them, Cox of lifelines and SurvivalBoost
                           of hazardous; ``peer_`` tells each
``band_flips``, ``band_flips_before``  changes of band that are taken back within two dates, of 100
                           accounts and dates, as bands are issued and by the score alone
``band_auc``, ``band_auc_before``  AUC of the band alone, over due rows

``forecast_coverage`` is of the companies of ``forecast.py``, which says more. ``companies`` has
each.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# This folder holds a features.py, which must not stand in front of the package of that name.
sys.path.append(sys.path.pop(1))

import forecast
import numpy as np
import pandas as pd
from _drawn import live, nature, risks_if_due
from _drawn_company import account_names, write_life
from _hazards import PEERS, elsewhere, task_of
from scipy.special import expit, xlogy
from sklearn.metrics import roc_auc_score

from models.arrays import Codes, Floats
from models.scoring.scale import ScaleSettings
from models.scoring.timing.curve import HORIZONS
from models.scoring.timing.decisions import Decisions
from models.training.learning import Learning, Learnt, learn
from models.training.splits import time_holdout
from pipelines.project.project import Project, load_project
from pipelines.project.rows import LabelledRows, labelled_rows, segment_settings
from pipelines.scoring.bands.settled import settled

SEEDS, QUICK, ANNUAL = range(1, 9), (2,), 0.9
CURVE_DATES, CURVES_JUDGED, PARTS = 12, 2, 10
KEYS = ["account_id", "observation_date"]
JUDGED, EARLIER = 6, 8
AHEAD, NEAR = (180, 90, 30), 15


def write_annual(folder: Path, accounts: int, seed: int) -> Path:
    """Draw a company most of whose contracts are annual, and write its tables and its truth."""
    life = live(seed, accounts, of=replace(nature(seed), annual=ANNUAL))
    write_life(folder, life)
    truth = risks_if_due(life)
    names = {"account_id": account_names(truth["account"]), "observation_date": truth["date"]}
    (folder / "truth").mkdir()
    truth.assign(**names)[[*KEYS, "p_if_due"]].to_parquet(folder / "truth" / "rows.parquet")
    return folder


def captured(risk: Floats, estimate: Floats) -> float:
    """Share of the expected log loss that an estimate explains: 0 for the mean, 1 for the truth."""

    def loss(q: Floats | float) -> float:
        q = np.clip(q, 1e-6, 1 - 1e-6)
        return float(-(xlogy(risk, q) + xlogy(1 - risk, 1 - q)).mean())

    base = loss(risk.mean())
    return (base - loss(estimate)) / (base - loss(risk))


def before_renewals(rows: pd.DataFrame, risk: Floats) -> dict[int, float | None]:
    """AUC of an estimate some days before the next renewal, against what came of that renewal.

    Parameters
    ----------
    rows : DataFrame of n rows
        ``days_to_renewal``, and ``happened`` of later dates of the same accounts.
    risk : ndarray of shape (n,)
        What is judged.
    """
    due = Decisions(0, NEAR).due(rows) & rows["days_to_renewal"].notna()
    renewals = rows[due].assign(renewal=lambda part: _renewal(part))
    outcomes = renewals[["account_id", "renewal", "happened"]].rename(columns={"happened": "lost"})
    asked = rows.assign(renewal=_renewal(rows), risk=risk)
    both = asked.merge(outcomes, on=["account_id", "renewal"])
    found: dict[int, float | None] = {}
    for days in AHEAD:
        part = both[(both["days_to_renewal"] - days).abs() <= NEAR]
        mixed = 0 < part["lost"].sum() < len(part)
        found[days] = float(roc_auc_score(part["lost"], part["risk"])) if mixed else None
    return found


def _renewal(rows: pd.DataFrame) -> pd.Series[Any]:
    return rows["observation_date"] + pd.to_timedelta(rows["days_to_renewal"], unit="D")


def measure(folder: Path, survival: Path | None = None) -> dict[str, Any]:
    """Judge both readings of a company."""
    project = load_project(folder / "healthscore.toml")
    score = project.settings.score.model_copy(
        update={"reading": "decision", "anchor_probability": None}
    )
    project = replace(project, settings=project.settings.model_copy(update={"score": score}))
    rows = labelled_rows(project)
    found: dict[str, Any] = {"company": folder.name, "decided": rows.decisions is not None}
    truth = pd.read_parquet(folder / "truth" / "rows.parquet")
    truth["observation_date"] = pd.to_datetime(truth["observation_date"])
    for name, decisions in (("", rows.decisions), ("_before", None)):
        learnt, later = taught(project, rows, decisions, JUDGED)
        both = later.merge(truth[[*KEYS, "p_if_due"]], on=KEYS)
        risk = np.asarray(expit(learnt.log_odds(both)))
        found[f"captured_if_due{name}"] = captured(both["p_if_due"].to_numpy(), risk)
        learnt, later = taught(project, rows, decisions, EARLIER)
        for days, auc in before_renewals(later, np.asarray(learnt.log_odds(later))).items():
            found[f"auc_{days}{name}"] = auc
    found |= of_curves(project, rows, survival)
    return found | of_bands(project, rows)


def of_curves(
    project: Project, rows: LabelledRows, survival: Path | None
) -> dict[str, float | None]:
    """Hold curves against what came within each horizon, beside those of others."""
    window = rows.window
    if window is None:
        return {}
    learnt, later = taught(project, rows, rows.decisions, CURVE_DATES)
    known = rows.frame.iloc[
        time_holdout(rows.frame["observation_date"], rows.maturity_days, n_dates=CURVE_DATES).train
    ].reset_index(drop=True)
    curve = learnt.curve(known, window)
    if curve is None:
        return {}
    dates = np.sort(later["observation_date"].unique())[:CURVES_JUDGED]
    later = later[later["observation_date"].isin(dates)].reset_index(drop=True)
    usual = pd.Series(learnt.log_odds(known)).groupby([learnt.segment(known), learnt.kinds(known)])
    cells = pd.MultiIndex.from_arrays([learnt.segment(later), learnt.kinds(later)])
    log_odds = learnt.log_odds(later)
    middle = usual.mean().reindex(cells).fillna(log_odds.mean()).to_numpy()
    told = curve.within(later, log_odds, middle)
    names = [signal.name for signal in rows.signals]
    task = task_of(known, later, names, window)
    others = {name: peer(task) for name, peer in PEERS.items()}
    others |= elsewhere(task, survival) if survival else {}
    losses = {name: _log_losses(risk, later, rows) for name, risk in others.items()}
    own = _log_losses(told, later, rows)
    return {
        "crossings": float((np.diff(told, axis=1) < 0).any(axis=1).sum()),
        "ece_worst_horizon": max(_errors(told, later, rows)),
        "curve_log_loss": float(np.mean(own)),
        "best_peer": min(float(np.mean(loss)) for loss in losses.values()),
        **{f"peer_{name}": float(np.mean(loss)) for name, loss in losses.items()},
    }


def _judged(
    told: Floats, later: pd.DataFrame, rows: LabelledRows
) -> Iterator[tuple[Floats, Floats]]:
    """Give what was told and what came, at each horizon that is over."""
    over = (pd.Timestamp(rows.data_end) - later["observation_date"]).dt.days.to_numpy()
    loss = later["days_to_loss"].to_numpy(dtype=float, na_value=np.inf)
    for place, days in enumerate(HORIZONS):
        whole = over >= days
        if whole.any():
            yield told[whole, place], (loss < days)[whole].astype(float)


def _log_losses(told: Floats, later: pd.DataFrame, rows: LabelledRows) -> list[float]:
    found = []
    for risk, lost in _judged(told, later, rows):
        q = np.clip(risk, 1e-4, 1 - 1e-4)
        found.append(float(-(xlogy(lost, q) + xlogy(1 - lost, 1 - q)).mean()))
    return found


def _errors(told: Floats, later: pd.DataFrame, rows: LabelledRows) -> list[float]:
    found = []
    for risk, lost in _judged(told, later, rows):
        part = np.argsort(np.argsort(risk, kind="stable")) * PARTS // len(risk)
        gaps = [abs(risk[part == k].sum() - lost[part == k].sum()) for k in range(PARTS)]
        found.append(sum(gaps) / len(risk))
    return found


def of_bands(project: Project, rows: LabelledRows) -> dict[str, float | None]:
    """Count changes of band that are taken back, as bands are issued and by the score alone."""
    learnt, later = taught(project, rows, rows.decisions, JUDGED)
    scale = ScaleSettings(term_anchors=rows.term_anchors).scale(rows.base_rate)
    score = scale.score(learnt.log_odds(later) - scale.shift(learnt.kinds(later)))
    wide = later.assign(score=score).pivot(
        index="account_id", columns="observation_date", values="score"
    )
    scores = wide.to_numpy()
    there = ~np.isnan(scores)
    alone = np.where(there, scale.position_of(np.nan_to_num(scores)), -1)
    issued = alone.copy()
    for date in range(1, scores.shape[1]):
        both = there[:, date] & there[:, date - 1]
        issued[both, date] = settled(
            scale, issued[both, date - 1], scores[both, date - 1], scores[both, date]
        )
    place = (wide.index.get_indexer(later["account_id"]),)
    place += (wide.columns.get_indexer(later["observation_date"]),)
    due = learnt.due(later)
    lost = later["happened"].to_numpy()[due]
    return {
        "band_flips": _flips(issued),
        "band_flips_before": _flips(alone),
        "band_auc": float(roc_auc_score(lost, -issued[place][due])),
        "band_auc_before": float(roc_auc_score(lost, -alone[place][due])),
        "at_risk_share": float((alone == 0).sum() / there.sum()),
    }


def _flips(bands: Codes) -> float:
    """Changes that are taken back within two dates, of 100 accounts and dates; -1 is no account."""
    back, seen = 0, 0
    for date in range(1, bands.shape[1]):
        before, now = bands[:, date - 1], bands[:, date]
        changed = (before >= 0) & (now >= 0) & (before != now)
        seen += int(((before >= 0) & (now >= 0)).sum())
        later = bands[:, date + 1 : date + 3]
        back += int((changed & (later == before[:, None]).any(axis=1)).sum())
    return 100 * back / seen


def taught(
    project: Any, rows: LabelledRows, decisions: Decisions | None, dates: int
) -> tuple[Learnt, pd.DataFrame]:
    """Teach a model what had matured before the newest dates, and return their rows."""
    fold = time_holdout(rows.frame["observation_date"], rows.maturity_days, n_dates=dates)
    learnt = learn(
        rows.frame.iloc[fold.train],
        rows.signals,
        Learning(
            maturity_days=rows.maturity_days,
            segments=segment_settings(project, rows.signals),
            decisions=decisions,
            seed=project.settings.training.seed,
        ),
    )
    return learnt, rows.frame.iloc[fold.test].reset_index(drop=True)


def companies(asked: argparse.Namespace, scratch: Path) -> Iterator[Path]:
    """Give the folders that were named, or draw companies one by one."""
    yield from asked.companies
    if not asked.companies:
        for seed in QUICK if asked.quick else asked.seeds:
            yield write_annual(scratch / f"{seed}", 600 if asked.quick else asked.accounts, seed)


def forecasts(scratch: Path, *, quick: bool) -> float:
    """Share of the intervals of a year's retention that hold the truth."""
    seeds, accounts = (forecast.QUICK, 400) if quick else (forecast.SEEDS, 800)
    each = [forecast.measure(scratch / "books", accounts, seed) for seed in seeds]
    return forecast.summary(each)["forecast_coverage"]


def main() -> None:
    """Measure the companies and print the means."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("companies", nargs="*", type=Path, metavar="COMPANY")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--accounts", type=int, default=4_000)
    parser.add_argument("--quick", action="store_true", help="one company of 600 accounts")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--survival", type=Path, help="python with lifelines and hazardous")
    asked = parser.parse_args()
    each = []
    with tempfile.TemporaryDirectory() as scratch:
        for folder in companies(asked, Path(scratch)):
            each.append(measure(folder, asked.survival))
            print(json.dumps(each[-1]), file=sys.stderr, flush=True)
        covered = forecasts(Path(scratch), quick=asked.quick)
    names = [name for name in each[0] if name not in ("company", "decided")]
    table = pd.DataFrame(each).reindex(columns=names).astype(float)
    means = {name: None if table[name].isna().all() else table[name].mean() for name in names}
    means["forecast_coverage"] = covered
    if asked.json:
        print(json.dumps({**means, "companies": each}))
        return
    for name, mean in means.items():
        print(f"{name:24}{'not measured' if mean is None else f'{mean:.3f}'}")


if __name__ == "__main__":
    main()
