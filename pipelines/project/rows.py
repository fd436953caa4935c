"""Labelled rows of a project: signals and outcomes of matured dates, and how they are split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

from features.errors import EvidenceError
from features.json_values import Json
from pipelines.project.company import open_company
from pipelines.project.project import Project
from pipelines.project.settings.score import WINDOW
from pipelines.reports.terminal.progress import show_progress

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from features.catalog import Signal
    from features.outcomes.settings import OutcomeSettings
    from features.tables.company import Company
    from features.tables.quality import TableQuality
    from models.churn.coded import CodedTable
    from models.churn.segments import SegmentSettings
    from models.scoring.timing.decisions import Decisions
    from models.training.learning import Learning

# Share of the outcomes that accounts left alone must have, for them to judge a model.
LEAST_LEFT_ALONE = 0.25
YEARLY = r"(?i)^(?!.*(?:half|semi)).*(?:annu|anual|year|jahr|jähr|jaar|12.?month|p1y|p12m)"


@dataclass(frozen=True)
class LabelledRows:
    """Signals and outcomes of matured observation dates, and the tables they came from.

    Parameters
    ----------
    table : CodedTable of n rows
        ``account_id``, ``observation_date``, ``happened`` (0 or 1), one column per signal, what
        segments, ARR and age are read from, and ``acted_on`` where somebody acted and enough rows
        were left alone to judge a model.
    signals : tuple of Signal
        What a model may read.
    maturity_days : int
        Days from an observation date to the end of its outcome window.
    is_dated : bool
        False where the rows are one snapshot without dates.
    data_start, data_end : date
        The first day of which behaviour is known, and the first of which nothing is.
    quality : dict of str to TableQuality
        What each table holds and what is wrong with it.
    decisions : Decisions or None
        Which rows are due, where contracts let an account leave at times alone; None where every
        row is, or the score speaks of the outcome window.
    window : Decisions or None
        The outcome window, where a curve over a year can be learnt.
    notes : tuple of str
        How the score reads contracts and acts, where that has to be known; one sentence each.
    """

    table: CodedTable
    signals: tuple[Signal, ...]
    maturity_days: int
    is_dated: bool
    data_start: date
    data_end: date
    quality: Mapping[str, TableQuality]
    decisions: Decisions | None = None
    window: Decisions | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The rows written out, which of many takes much memory."""
        return self.table.frame().astype({"account_id": "str"})

    def part(self, rows: NDArray[np.bool_]) -> LabelledRows:
        """Keep some rows, given as a mask."""
        return replace(self, table=self.table.take(rows))

    @property
    def due(self) -> LabelledRows:
        """The rows that a model of the risk at a decision is taught with, and its signals."""
        if self.decisions is None:
            return self
        due = self.part(self.decisions.due(self.table))
        return replace(due, signals=self.decisions.signals(self.signals), decisions=None)

    @property
    def base_rate(self) -> float:
        """Share of the rows that are due in which the outcome happened.

        Where kinds of terms are told apart, of those of the kind that lost most.
        """
        return self._anchors[1]

    @property
    def term_anchors(self) -> tuple[float, ...]:
        """Share of the rows that are due by kind of term; empty where none are told apart."""
        return self._anchors[0]

    @cached_property
    def _anchors(self) -> tuple[tuple[float, ...], float]:
        from models.scoring.timing.anchors import term_anchors

        if self.decisions is None:
            return (), float(self.table["happened"].mean())
        return term_anchors(self.decisions, self.due.table)

    @property
    def problems(self) -> list[str]:
        """What is impossible or unreadable in the tables, one sentence each."""
        return [
            f"{quality.source_name}: {problem}"
            for quality in self.quality.values()
            for problem in quality.problems
        ]

    def description(self) -> Json:
        """Describe the tables and fingerprint the rows, JSON-ready, to be kept with a model."""
        from models.training.fingerprint import rows_fingerprint

        return {
            "fingerprint": rows_fingerprint(self.table),
            "rows": len(self.table),
            "columns": list(self.table.columns),
            "data_start": self.data_start.isoformat(),
            "data_end": self.data_end.isoformat(),
            "tables": {name: quality.to_dict() for name, quality in self.quality.items()},
        }


def labelled_rows(project: Project, company: Company | None = None) -> LabelledRows:
    """Build the labelled feature table of a project.

    Parameters
    ----------
    project : Project
        The configuration.
    company : Company, optional
        Its opened tables; by default they are opened and closed again.

    Raises
    ------
    EvidenceError
        When no observation date has matured, or no account was active on any.
    """
    from features.build import POSITION, feature_rows, signals_of
    from features.outcomes.labels import (
        days_to_label,
        declared_for,
        matured_dates,
        why_no_date,
        why_no_row,
    )
    from models.training.coding import code_pieces

    if company is None:
        with open_company(project) as opened:
            return labelled_rows(project, opened)
    settings = project.settings
    dates = matured_dates(company, settings.outcome)
    if not dates:
        raise EvidenceError(why_no_date(company, settings.outcome, project.outcome_section))
    with show_progress("Signals") as step:
        built = feature_rows(
            company, dates, settings.outcome, settings.signals, labelled=True, progress=step
        )
    if not built.count:
        raise EvidenceError(why_no_row(company, settings.outcome, dates))
    rows = LabelledRows(
        table=code_pieces(built.pieces(), POSITION),
        signals=_apart_from_the_calendar(
            declared_for(signals_of(company, settings.signals), settings.outcome),
            settings.outcome,
        ),
        maturity_days=days_to_label(company, settings.outcome),
        is_dated=company.is_dated,
        data_start=company.data_start,
        data_end=company.data_end,
        quality=company.quality,
    )
    return with_acts(project, company, with_decisions(project, rows))


def with_acts(project: Project, company: Company, rows: LabelledRows) -> LabelledRows:
    """Mark the rows that were acted on, where those left alone are enough to judge a model."""
    from features.outcomes.interventions import ACTED_ON

    keys = rows.table.frame(["account_id", "observation_date"])
    acted = acted_soon(project, company, keys)
    if project.settings.outcome.is_good or acted is None or not acted.any():
        return rows
    happened = rows.table["happened"].to_numpy()
    all_of_them, alone = int(happened.sum()), int(happened[~acted].sum())
    if alone < max(LEAST_LEFT_ALONE * all_of_them, 1):
        note = (
            f"Of {all_of_them:,} rows with the outcome {all_of_them - alone:,} had been acted on,"
            " too many to judge what happens if nobody acts: the score tells what happens as the"
            " team acts now; leave some accounts alone to learn more"
        )
        return replace(rows, notes=(*rows.notes, note))
    note = (
        f"{int(acted.sum()):,} of {len(acted):,} rows were acted on within"
        f" {project.settings.plays.within_days} days: they teach as all others do, and those left"
        " alone judge the model"
    )
    table = rows.table.with_flags(ACTED_ON, acted)
    return replace(rows, table=table, notes=(*rows.notes, note))


def acted_soon(project: Project, company: Company, frame: pd.DataFrame) -> NDArray[np.bool_] | None:
    """Mark rows whose account was acted on within ``[plays] within_days``; None without acts."""
    import numpy as np

    from features.outcomes.interventions import acts_after

    plays = project.settings.plays
    acts = acts_after(company, frame, plays.within_days, plays.renamed)
    if acts is None or not acts.days:
        return None
    return np.asarray(np.any([~np.isnan(days) for days in acts.days.values()], axis=0))


def _apart_from_the_calendar(
    signals: tuple[Signal, ...], outcome: OutcomeSettings
) -> tuple[Signal, ...]:
    """Leave out what says how far a renewal is, where every row is asked before one."""
    from models.scoring.timing.decisions import CALENDAR

    if outcome.kind != "renewal":
        return signals
    return tuple(signal for signal in signals if signal.name not in CALENDAR)


def with_decisions(project: Project, rows: LabelledRows) -> LabelledRows:
    """Tell which rows are due, where not every row is and their losses are enough to learn from."""
    from models.scoring.timing.decisions import Decisions, usable
    from models.training.checks import MIN_EARLIER_POSITIVES, MIN_POSITIVES
    from models.training.splits import time_holdout

    outcome, score = project.settings.outcome, project.settings.score
    window = Decisions(outcome.lead_days, outcome.maturity_days)
    if outcome.kind != "churn" or not rows.is_dated or score.reading == WINDOW:
        return rows
    if window.due(rows.table).all():
        return replace(rows, window=window, notes=(*rows.notes, *_unknown_timing(rows.table)))
    if score.reading is None and score.anchor_probability is not None:
        note = (
            "The score tells the risk in the outcome window, as its scale was frozen so, and"
            " moves when a renewal nears; take anchor_probability and the two cuts out of [score]"
            " and train again, and it tells the risk had the account to decide"
        )
        return replace(rows, notes=(note,))
    try:
        dates, count = rows.table["observation_date"], project.settings.training.holdout_dates
        earlier = time_holdout(dates, rows.maturity_days, n_dates=count).train
    except EvidenceError:
        # Training says the same, of all rows.
        return rows
    found, losses = usable(window, rows.table, earlier, MIN_POSITIVES, MIN_EARLIER_POSITIVES)
    if found is not None:
        return replace(rows, decisions=found, window=found)
    note = (
        f"Only {losses} of the accounts whose contract let them decide within the outcome window"
        f" {outcome.words.past}, too few to learn the risk at a decision from: the score tells the"
        " risk in the window and moves when a renewal nears; use a longer history"
    )
    return replace(rows, notes=(note,))


def _unknown_timing(table: CodedTable) -> list[str]:
    """Say that nobody knows when accounts decide, where terms of a year have no renewal date."""
    from models.scoring.timing.decisions import AHEAD, days_of

    if "billing_period" not in table:
        return []
    yearly = table["billing_period"].astype("str").str.contains(YEARLY).to_numpy(dtype=bool)
    if not yearly.any() or (days_of(table, AHEAD)[yearly] >= 0).any():
        return []
    return [
        f"When accounts decide is not known: {yearly.sum():,} of {len(table):,} rows are billed by"
        " the year, and no such contract has a renewal date; the score tells the risk in the"
        " outcome window, until renewal_at is mapped under [tables.subscriptions]"
    ]


def segment_settings(project: Project, signals: tuple[Signal, ...]) -> SegmentSettings:
    """Read how accounts are split.

    Raises
    ------
    SettingsError
        When a column is no signal of this company.
    """
    from features.errors import SettingsError, nearest, sample
    from models.churn.segments import SegmentSettings

    given = project.settings.segments
    for column in given.columns:
        if all(signal.name != column for signal in signals):
            texts = [signal.name for signal in signals if signal.is_categorical]
            hint = nearest(column, texts) or f"; signals that could be are {sample(texts, 8)}"
            raise SettingsError(
                f"[segments] columns names '{column}', which is no signal of this company{hint}"
            )
    return SegmentSettings(
        columns=given.columns,
        lifecycle=tuple((stage.name, stage.until_days) for stage in given.lifecycle),
        min_rows=given.min_rows,
        min_positives=given.min_positives,
    )


def learning_of(
    project: Project, rows: LabelledRows, tuned: Mapping[str, float] | None = None
) -> Learning:
    """Read how the configuration wants a model of some rows to be taught.

    Raises
    ------
    SettingsError
        When segments are read from a column that is no signal of this company.
    """
    from models.training.learning import Learning

    training = project.settings.training
    return Learning(
        maturity_days=rows.maturity_days,
        segments=segment_settings(project, rows.signals),
        decisions=rows.decisions,
        window=rows.window,
        is_dated=rows.is_dated,
        tuned=tuned,
        negatives=training.sample_negatives,
        seed=training.seed,
        n_jobs=training.threads,
    )
