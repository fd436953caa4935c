"""What actual referrals foretell, beside what customers answer in surveys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, TypedDict, cast

from features.catalog import EVERYBODY
from features.errors import sample

if TYPE_CHECKING:
    import pandas as pd

    from features.catalog import Signal
    from models.arrays import Floats
    from models.scoring.health_model import HealthModel

REFERRALS = ("referrals_365d",)
SURVEYS = ("nps_last", "csat_last", "ces_last")


class Beside(TypedDict):
    """A signal beside that of the other side, on the rows in which both are known.

    ``shared_`` figures are the signal's there, ``other_`` those of the other side, and ``ahead``
    the signal's AUC less the other's; intervals are of 90 %. None where there is no other side.
    """

    shared_rows: int | None
    shared_accounts: int | None
    shared_positives: int | None
    shared_auc: float | None
    shared_low: float | None
    shared_high: float | None
    other: str | None
    other_label: str | None
    other_auc: float | None
    other_low: float | None
    other_high: float | None
    ahead: float | None
    ahead_low: float | None
    ahead_high: float | None


class AloneAndBeside(Beside):
    """What a signal alone ranks right where it is known, and :class:`Beside`.

    ``direction`` is "higher" or "lower"; where it was not ``declared`` it is what the model learnt.
    """

    signal: str
    label: str
    group: str
    direction: str
    declared: bool
    rows: int
    accounts: int
    positives: int
    auc: float | None
    low: float | None
    high: float | None


BESIDE = tuple(Beside.__annotations__)


def referrals_beside_surveys(
    model: HealthModel,
    frame: pd.DataFrame,
    signals: Sequence[Signal],
    notes: list[str],
    *,
    seed: int,
) -> list[AloneAndBeside]:
    """Ask what actual referrals foretell, and what answers to surveys do.

    Nothing is learnt but directions that nobody declared, so all matured rows count.

    Parameters
    ----------
    model, frame, signals, seed
        As for :func:`pipelines.weights.evidence.report_evidence`.
    notes : list of str
        Takes what cannot be shown and why.

    Returns
    -------
    list of AloneAndBeside
    """
    from models.backtest.signal_evidence import some_accounts

    referrals = _chosen("referrals", REFERRALS, model, signals, notes)[:1]
    surveys = _chosen("surveys", SURVEYS, model, signals, notes)
    rows = frame.iloc[some_accounts(frame["account_id"], seed=seed)]
    sides = [_usable(side, rows, notes) for side in (referrals, surveys)]
    return [
        _entry(model, rows, signal, others[0] if others else None, seed)
        for own, others in (sides, sides[::-1])
        for signal in own
    ]


def _chosen(
    group: str,
    preferred: Sequence[str],
    model: HealthModel,
    signals: Sequence[Signal],
    notes: list[str],
) -> list[Signal]:
    """Signals that speak for a group: the preferred, else the heaviest with a declared direction.

    Those of which nothing says which way they are healthy are left out.
    """
    from models.backtest.signal_evidence import high_is_risk

    weights = model.signal_weights[EVERYBODY]
    own = [s for s in signals if s.group == group and not s.is_categorical]
    declared = [s for s in own if s.healthy != "none"]
    declared.sort(key=lambda signal: -weights.get(signal.name, 0.0))
    known = {signal.name: signal for signal in own}
    named = [known[name] for name in preferred if name in known] or declared[:1]
    if not named:
        notes.append(f"What {group} predict alone cannot be shown: no signal tells of them")
    lost = [signal for signal in named if high_is_risk(model, signal.name) is None]
    notes += [
        f"What {sample([signal.label])} predicts alone cannot be shown: neither you nor the data"
        " say which way it is healthy"
        for signal in lost
    ]
    return [signal for signal in named if signal not in lost]


def _usable(found: list[Signal], rows: pd.DataFrame, notes: list[str]) -> list[Signal]:
    """Leave out what is known in rows of one outcome only."""
    usable = []
    for signal in found:
        happened = rows.loc[rows[signal.name].notna(), "happened"]
        if 0 < happened.sum() < len(happened):
            usable.append(signal)
        else:
            notes.append(
                f"What {sample([signal.label])} predicts alone cannot be shown: it is known in"
                f" {len(happened):,} rows, of which {int(happened.sum()):,} had the outcome"
            )
    return usable


def _entry(
    model: HealthModel, rows: pd.DataFrame, signal: Signal, other: Signal | None, seed: int
) -> AloneAndBeside:
    """Measure a signal alone, and beside the other where there is one."""
    import numpy as np

    from models.backtest.signal_evidence import alone, healthy_direction, high_is_risk, side_by_side

    happened, accounts = rows["happened"], rows["account_id"]

    def column(of: Signal) -> Floats:
        return rows[of.name].to_numpy(dtype=float, na_value=np.nan)

    risk = bool(high_is_risk(model, signal.name))
    direction, declared = healthy_direction(model, signal.name)
    entry = {
        "signal": signal.name,
        "label": signal.label,
        "group": signal.group,
        "direction": direction,
        "declared": declared,
        **asdict(alone(column(signal), happened, accounts, high_is_risk=risk, seed=seed)),
    }
    if other is None:
        return cast("AloneAndBeside", entry | dict.fromkeys(BESIDE))
    told = side_by_side(
        column(signal),
        column(other),
        happened,
        accounts,
        high_is_risk=(risk, bool(high_is_risk(model, other.name))),
        seed=seed,
    )
    entry |= {f"shared_{name}": value for name, value in asdict(told.first).items()}
    entry |= {
        "other": other.name,
        "other_label": other.label,
        "other_auc": told.second.auc,
        "other_low": told.second.low,
        "other_high": told.second.high,
        **told.ahead.spread("ahead"),
    }
    return cast("AloneAndBeside", entry)
