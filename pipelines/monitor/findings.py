"""What a check measures, before anything is decided."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from features.json_values import Json, json_value
from pipelines.monitor.rows import CurrentRows, feeds, matured_rows, no_columns, scores_of
from pipelines.project.company import SILENCE_DAYS
from pipelines.project.project import Project

if TYPE_CHECKING:
    from features.tables.last_rows import Freshness
    from models.drift.feed_faults import Fault
    from models.drift.performance import ExpectedChange, Matured
    from models.drift.reference import Histograms, Reference
    from models.drift.statistics import DriftStatistics
    from models.registry.versions import ChampionReference
    from models.scoring.health_model import HealthModel


@dataclass(frozen=True)
class Findings:
    """What was measured on a date.

    Parameters
    ----------
    current : Histograms
        Counts of the date.
    statistics : DriftStatistics
        What moved, and how far chance and nature move it.
    faults : tuple of Fault
        What is wrong with the feeds.
    feeds : list of Freshness
        How new the tables' rows are; empty for a feature table.
    expected : ExpectedChange or None
        What the probabilities promise of themselves; None where nobody could be scored.
    matured : tuple of Matured
        Observed against expected outcomes since the training, of accounts left alone; empty where
        none has matured.
    acted_on : Matured or None
        The same of accounts that were acted on, which say nothing against the probabilities.
    matured_dates : tuple of date
        The dates they are of.
    notes : list of str
        What was not looked at, one sentence each.
    """

    current: Histograms
    statistics: DriftStatistics
    faults: tuple[Fault, ...]
    feeds: list[Freshness]
    expected: ExpectedChange | None
    matured: tuple[Matured, ...]
    matured_dates: tuple[date, ...]
    notes: list[str]
    acted_on: Matured | None = None

    def to_dict(self) -> Json:
        """Return a JSON-ready description, but for the counts."""
        return {
            "statistics": self.statistics.to_dict(),
            "expected": None if self.expected is None else self.expected.to_dict(),
            "matured": [one.to_dict() for one in self.matured],
            "acted_on": None if self.acted_on is None else self.acted_on.to_dict(),
            "matured_dates": [day.isoformat() for day in self.matured_dates],
            "feeds": json_value(self.feeds),
        }


def measure_findings(
    project: Project, model: HealthModel, version: str, kept: ChampionReference, rows: CurrentRows
) -> Findings:
    """Measure what there is to measure, in the engine where the rows are.

    Parameters
    ----------
    project : Project
        The configuration.
    model : HealthModel
        The champion.
    version : str
        Its version.
    kept : ChampionReference
        What it was taught with.
    rows : CurrentRows
        The date's rows, open.

    Raises
    ------
    DataError
        When the date lies before the newest one the champion learnt from, or a signal holds what
        it must not.
    """
    from models.drift.feed_faults import feed_faults, feed_suspects
    from models.drift.histograms import histograms, second_look, segment_of
    from models.drift.statistics import drift_statistics

    reference = kept.reference
    notes = no_columns(model, rows)
    segment = None if notes else segment_of(rows.table, model.segments)
    current = histograms(reference, rows.table, segment=segment)
    current, expected, more = _scored(project, model, version, kept, rows, current)
    notes += more
    statistics = drift_statistics(reference, current, model.signal_weights, rows.as_of)
    nearer = second_look(reference, rows.table, feed_suspects(reference, current), segment=segment)
    tables: list[Freshness] = []
    if rows.company is not None and rows.company.is_dated:
        tables = feeds(rows.company, model, rows.as_of, kept.tables)
    faults = feed_faults(reference, current, model.signals, nearer, tables)
    ended, unseen = _ended(project, rows, tables)
    matured, acted_on, dates, more = _matured(project, model, version, reference, rows)
    return Findings(
        current=current,
        statistics=statistics,
        faults=(*ended, *faults),
        feeds=tables,
        expected=expected,
        matured=matured,
        matured_dates=dates,
        notes=[*notes, *unseen, *more],
        acted_on=acted_on,
    )


def _ended(
    project: Project, rows: CurrentRows, tables: list[Freshness]
) -> tuple[list[Fault], list[str]]:
    """Hold the newest rows against the clock, where no date and no end of the data was named."""
    from models.drift.feed_faults import stopped_data
    from pipelines.reports.freshness import today

    fault = stopped_data(tables, today(), SILENCE_DAYS) if rows.is_newest else None
    if fault is None:
        return [], []
    end = project.settings.source.data_end
    if end is None:
        return [fault], []
    return [], [
        f"[source] data_end says that nothing is known from {end} on,"
        f" {(today() - end).days} days ago: whether the feeds still run was not looked at"
    ]


def _scored(
    project: Project,
    model: HealthModel,
    version: str,
    kept: ChampionReference,
    rows: CurrentRows,
    current: Histograms,
) -> tuple[Histograms, ExpectedChange | None, list[str]]:
    """Add the scores to the counts, and ask what the probabilities promise."""
    from models.drift.performance import expected_change, expected_performance
    from models.drift.reference import SCORE, frame_histograms

    scores, notes = scores_of(project, rows, model, version)
    if scores is None or not len(scores):
        if current.absent and rows.count:
            notes.append("Scores were not looked at: the model cannot read these rows")
        return current, None, notes
    counted = frame_histograms(
        kept.reference, scores[["account_id"]], scores["segment"], score=scores["score"]
    )
    current = replace(current, tables={**current.tables, SCORE: counted.tables[SCORE]})
    said = expected_performance(scores["probability"].to_numpy(dtype=float))
    return current, expected_change(kept.expected, said), notes


def _matured(
    project: Project,
    model: HealthModel,
    version: str,
    reference: Reference,
    rows: CurrentRows,
) -> tuple[tuple[Matured, ...], Matured | None, tuple[date, ...], list[str]]:
    """Hold what happened to accounts left alone against the probabilities, and the others apart."""
    from models.drift.performance import matured_performance

    if rows.company is None:
        return (
            (),
            None,
            (),
            ["A feature table tells of no feeds and no outcomes: they were not looked at"],
        )
    known, notes = matured_rows(
        project,
        rows.company,
        model,
        version,
        taught_until=reference.dates[-1],
        as_of=rows.as_of,
    )
    if known is None:
        return (), None, (), notes
    dates = tuple(moment.date() for moment in sorted(known["observation_date"].unique()))
    acted = known["acted"].to_numpy(dtype=bool)
    alone = matured_performance(known[~acted])
    if not acted.any():
        return alone, None, dates, notes
    helped = matured_performance(known[acted])[0]
    return alone, helped, dates, [*notes, success(helped, alone[0] if alone else None)]


def success(acted_on: Matured, alone: Matured | None) -> str:
    """Say what became of accounts that were acted on, which is not drift.

    Parameters
    ----------
    acted_on : Matured
        All of them.
    alone : Matured or None
        Accounts left alone; None where there are none.
    """
    expected = acted_on.expected_rate * acted_on.rows
    stayed = round(expected - acted_on.positives)
    told = (
        f"of {acted_on.rows:,} accounts acted on {acted_on.positives:,} churned and"
        f" {expected:.0f} were expected to if nobody acted; they are judged apart"
    )
    if stayed < 1:
        return f"{told[0].upper()}{told[1:]}"
    as_foretold = alone is not None and alone.low <= alone.expected_rate <= alone.high
    reason = (
        f"because {stayed:,} acted-on account{'' if stayed == 1 else 's'} stayed"
        if as_foretold
        else "among those acted on, and those left alone are not as expected either"
    )
    return f"Fewer churned than expected {reason}: {told}"
