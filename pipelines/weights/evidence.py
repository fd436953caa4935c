"""What speaks for recommended weights, gathered for the report's appendix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict

from features.catalog import EVERYBODY
from features.errors import RegistryError, sample
from pipelines.project.project import Project
from pipelines.weights.evidence_ratings import RatingEvidence, rating_evidence
from pipelines.weights.evidence_referrals import AloneAndBeside, referrals_beside_surveys

if TYPE_CHECKING:
    import pandas as pd

    from features.catalog import Signal
    from features.tables.company import Company
    from features.tables.quality import TableQuality
    from models.arrays import Codes
    from models.measures.metrics import BandRow, Metrics
    from models.registry.versions import LoggedBacktest
    from models.scoring.health_model import HealthModel

CALIBRATION_POSITIVES, POSITIVES_PER_BIN = 20, 5
"""Fewer outcomes say nothing of a segment's probabilities, and bins of fewer nothing at all."""


class QualityRow(TypedDict):
    """What a table holds, under the company's own name for it, and what is wrong with it."""

    table: str
    rows: int
    accounts: int
    first: datetime | None
    last: datetime | None
    problems: list[str]


@dataclass(frozen=True)
class Evidence:
    """What the appendix of the weights report shows.

    Parameters
    ----------
    metrics : Metrics
        The full model on the hold-out. What behaviour adds is not among them: the hold-out is
        kept without it.
    segment_metrics : dict of str to Metrics
        The same per segment; accounts of no segment of their own count in ``metrics`` alone.
    calibration : dict of str to DataFrame
        "all", and every segment with 20 positives or more: see
        :func:`models.measures.metrics.calibration_table`.
    bands : list of dict
        Per band ``band``, ``rows``, ``positives``, ``expected_rate``, ``observed_rate`` and its
        90 % interval ``low``, ``high``, on the hold-out.
    lead : DataFrame
        See :func:`models.backtest.lead_time.lead_time`; empty without dated events.
    directions : DataFrame
        One row per signal with a declared direction: ``signal``, ``label``, ``group``,
        ``declared``, ``learnt`` ("higher", "lower" or "not enough evidence"), ``agrees`` (True,
        False or None), ``weight``, ``low`` and ``high`` over all rows, heaviest first.
    carriers : DataFrame
        ``segment`` ("all" first), ``group``, ``signal``, ``label`` and ``weight`` (percent of the
        group's), the five heaviest of each group.
    ratings : RatingEvidence or None
        Ratings by people; None without them.
    referrals_vs_nps : list of AloneAndBeside
        First the referrals, then the surveys; empty without either. The other side of a survey is
        the referrals, that of the referrals the first survey.
    audit : DataFrame
        See :func:`models.measures.fairness_audit.fairness_audit`; empty without sensitive
        attributes.
    backtest : LoggedBacktest or None
        None where none was logged.
    quality : list of QualityRow
        A row per table.
    notes : list of str
        What could not be shown and why, one sentence each.
    """

    metrics: Metrics
    segment_metrics: dict[str, Metrics]
    calibration: dict[str, pd.DataFrame]
    bands: list[BandRow]
    lead: pd.DataFrame
    directions: pd.DataFrame
    carriers: pd.DataFrame
    ratings: RatingEvidence | None
    referrals_vs_nps: list[AloneAndBeside]
    audit: pd.DataFrame
    backtest: LoggedBacktest | None
    quality: list[QualityRow]
    notes: list[str]


def report_evidence(
    company: Company,
    project: Project,
    model: HealthModel,
    rows: pd.DataFrame,
    frame: pd.DataFrame,
    signals: Sequence[Signal],
    events: pd.DataFrame | None,
    *,
    seed: int,
) -> Evidence:
    """Gather what speaks for, or against, recommended weights.

    What cannot be shown is left out with a note. Where there are more than 100,000 rows, what
    single signals foretell alone is measured on accounts drawn by chance that have as many, for an
    interval needs no more; everything else is of all rows.

    Parameters
    ----------
    company : Company
        Its tables, still open.
    project : Project
        The configuration, of one outcome.
    model : HealthModel
        The champion.
    rows : DataFrame of m rows
        Its hold-out, as :class:`pipelines.weights.rows.ReplayRows` has it.
    frame : DataFrame of n rows
        Every matured row, those of the hold-out included.
    signals : sequence of Signal
        The company's.
    events : DataFrame or None
        ``account_id`` and ``happened_at``; None where the outcome has no dates.
    seed : int
        Of the bootstrap.
    """
    import numpy as np

    from models.backtest.lead_time import lead_time
    from models.backtest.signal_evidence import MOST_ROWS, group_carriers, learnt_directions
    from models.measures.fairness_audit import fairness_audit
    from models.training.holdout import band_table

    notes: list[str] = []
    if len(frame) > MOST_ROWS:
        notes.append(
            "What ratings, referrals and surveys predict alone is measured on accounts drawn by"
            f" chance, up to {MOST_ROWS:,} of {len(frame):,} rows"
        )
    position = model.scale.position_of(rows["score"].to_numpy(dtype=float))
    band = np.array(model.scale.bands)[position]
    past = _before(rows, frame, model, is_dated=company.is_dated)
    said = rows[["account_id", "observation_date", "segment", "happened", "probability", "score"]]
    base_rate = float(frame["happened"].iloc[past].mean())
    metrics, segment_metrics = _measured(said, base_rate, seed)
    return Evidence(
        metrics=metrics,
        segment_metrics=segment_metrics,
        calibration=_calibration(said, notes),
        bands=band_table(said, model.scale),
        lead=lead_time(said.assign(band=band), _known_events(events, company, project, notes)),
        directions=_noted(
            learnt_directions(model),
            notes,
            "No healthy direction was declared for this outcome, so there is none to hold against"
            " what was learnt",
        ),
        carriers=_noted(group_carriers(model), notes, "No signal moves the model's estimate"),
        ratings=rating_evidence(
            company, project, model, rows, frame, past, signals, notes, seed=seed
        ),
        referrals_vs_nps=referrals_beside_surveys(model, frame, signals, notes, seed=seed),
        audit=fairness_audit(
            _sensitive(company, project, rows, notes),
            rows["happened"],
            rows["probability"],
            band == model.scale.bands[0],
            rows["account_id"],
        ),
        backtest=_backtest(project, notes),
        quality=[_table_quality(found) for found in company.quality.values()],
        notes=notes,
    )


def _noted(table: pd.DataFrame, notes: list[str], why_empty: str) -> pd.DataFrame:
    if table.empty:
        notes.append(why_empty)
    return table


def _before(
    rows: pd.DataFrame, frame: pd.DataFrame, model: HealthModel, *, is_dated: bool
) -> Codes:
    """Positions that had matured before the hold-out; without dates, those of other accounts."""
    import numpy as np
    import pandas as pd

    if is_dated:
        matured = frame["observation_date"] + pd.Timedelta(days=model.maturity_days)
        return np.flatnonzero(matured <= rows["observation_date"].min())
    return np.flatnonzero(~frame["account_id"].isin(set(rows["account_id"])))


def _measured(
    rows: pd.DataFrame, base_rate: float, seed: int
) -> tuple[Metrics, dict[str, Metrics]]:
    from models.measures.metrics import evaluate

    def of(part: pd.DataFrame) -> Metrics:
        return evaluate(
            part["happened"],
            part["probability"],
            part["account_id"],
            base_rate=base_rate,
            alike=part["observation_date"],
            seed=seed,
        )

    return of(rows), {name: of(part) for name, part in _segments(rows).items()}


def _segments(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows per segment; those of no segment of their own are found in "all" alone."""
    return {str(name): part for name, part in rows.groupby("segment") if name != EVERYBODY}


def _calibration(rows: pd.DataFrame, notes: list[str]) -> dict[str, pd.DataFrame]:
    """Bins of five outcomes or more on average, ten at most, of all rows and of large segments."""
    from models.measures.calibration_error import BINS
    from models.measures.metrics import calibration_table

    parts = {EVERYBODY: rows, **_segments(rows)}
    positives = {name: int(part["happened"].sum()) for name, part in parts.items()}
    few = [name for name in parts if name != EVERYBODY and positives[name] < CALIBRATION_POSITIVES]
    if few:
        notes.append(
            f"Whether probabilities hold cannot be shown for {sample(few, 12)}: fewer than"
            f" {CALIBRATION_POSITIVES} outcomes were held out there"
        )
    return {
        name: calibration_table(
            part["happened"],
            part["probability"],
            min(BINS, max(positives[name] // POSITIVES_PER_BIN, 1)),
            accounts=part["account_id"],
        )
        for name, part in parts.items()
        if name not in few
    }


def _known_events(
    events: pd.DataFrame | None, company: Company, project: Project, notes: list[str]
) -> pd.DataFrame:
    import pandas as pd

    if events is not None and len(events):
        return events
    why = (
        "the data carry no dates"
        if not company.is_dated
        else f"no {project.settings.outcome.words.noun} has a day of its own"
    )
    notes.append(f"How early the score warned cannot be shown: {why}")
    return pd.DataFrame({"account_id": [], "happened_at": []})


def _sensitive(
    company: Company, project: Project, rows: pd.DataFrame, notes: list[str]
) -> pd.DataFrame:
    import pandas as pd

    from features.builders.sensitive import sensitive_attributes

    attributes = sensitive_attributes(company, project.settings.signals, rows)
    if attributes is None:
        notes.append(
            "Nothing was audited for fairness: [signals] sensitive names no attribute of the"
            " accounts"
        )
        return pd.DataFrame(index=rows.index)
    return attributes


def _backtest(project: Project, notes: list[str]) -> LoggedBacktest | None:
    from models.registry.versions import newest_backtest

    try:
        logged = newest_backtest(project.registry_folder, project.settings.registry.model_name)
    except RegistryError as error:
        notes.append(f"No backtest is shown: {str(error).rstrip('.')}")
        return None
    if logged is None:
        notes.append("No backtest was logged; 'healthscore backtest' tests on rolling origins")
    return logged


def _table_quality(found: TableQuality) -> QualityRow:
    return {
        "table": found.source_name,
        "rows": found.rows,
        "accounts": found.accounts,
        "first": found.first,
        "last": found.last,
        "problems": list(found.problems),
    }
