"""What a check looks at: a date's features and scores, the feeds behind them, matured outcomes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import DataError, StoreError, sample
from pipelines.project.company import open_company, scoring_date
from pipelines.project.feature_stream import BATCH_ROWS, FeatureStream, feature_stream
from pipelines.project.project import Project
from pipelines.project.rows import acted_soon
from pipelines.reports.terminal.ordered_work import usable_cores
from pipelines.reports.terminal.progress import show_progress, show_rows
from pipelines.scoring.score import scored_batches

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd
    import pyarrow as pa

    from features.tables.company import Company
    from features.tables.last_rows import Freshness
    from models.scoring.health_model import HealthModel
    from pipelines.store.runs import Run, RunKey

MOST_MATURED_DATES = 12
"""So many of the newest matured dates are looked at: what was long ago says little of now."""
# No signal is built from these, but what is learnt, or who is active, is.
ALWAYS = ("accounts", "subscriptions", "churn_events", "snapshots")


@dataclass(frozen=True)
class CurrentRows:
    """The feature rows of a date, where they lie.

    Parameters
    ----------
    as_of : date
        The date.
    source : str
        "tables" or the file's name.
    table : ibis Table
        A row per account and a column per signal.
    count : int
        Rows.
    company : Company or None
        The tables they come from; None for a file.
    stream : FeatureStream or None
        The same to be scored; None where a column that the model reads is not there.
    warnings : list of str
        One sentence each.
    is_newest : bool
        Whether the date is the newest there is, rather than one that was asked for.
    """

    as_of: date
    source: str
    table: ir.Table
    count: int
    company: Company | None
    stream: FeatureStream | None
    warnings: list[str] = field(default_factory=list)
    is_newest: bool = False


@contextmanager
def current_rows(
    project: Project, model: HealthModel, as_of: date | None, file: Path | None
) -> Iterator[CurrentRows]:
    """Open the feature rows of a date; unlike scoring, a check may find nobody or a column gone.

    Parameters
    ----------
    project : Project
        The configuration.
    model : HealthModel
        Who reads them.
    as_of : date or None
        The date; the day after the last row when None. A file has its own.
    file : Path or None
        A feature table in place of the company's.

    Raises
    ------
    DataError
        When the date lies outside the data, or the tables or the file cannot be read.
    """
    if file is not None:
        with feature_stream(project, model, as_of, file) as stream:
            yield from _of_file(model, stream, file)
        return
    with open_company(project) as company:
        day, warnings = scoring_date(company, as_of)
        rows = _of_company(project, company, model, day, warnings)
        yield replace(rows, is_newest=as_of is None)


def _of_file(model: HealthModel, stream: FeatureStream, file: Path) -> Iterator[CurrentRows]:
    from features.sources.duckdb import duckdb_engine

    engine = duckdb_engine()
    try:
        table = engine.connection.read_parquet(str(file))
        days = table.observation_date.cast("date").nunique().execute()
        if days != 1:
            raise DataError(
                f"The feature table '{file}' must be of one date, and holds {days}; write one table"
                " for each date"
            )
        count = int(table.count().execute())
        usable = stream if _complete(model, table) else None
        yield CurrentRows(stream.as_of, stream.source, table, count, None, usable)
    except engine.errors as error:
        raise DataError(
            f"The feature table '{file}' cannot be counted: {engine.explain(error)}; write one with"
            " 'healthscore features'"
        ) from error
    finally:
        engine.close()


def _of_company(
    project: Project, company: Company, model: HealthModel, day: date, warnings: list[str]
) -> CurrentRows:
    from features.build import feature_rows

    settings = project.settings
    with show_progress("Signals") as step:
        rows = feature_rows(
            company, [day], settings.outcome, settings.signals, labelled=False, progress=step
        )
    # Looked at more than once, it is computed once.
    rows = replace(rows, table=company.keep("monitored", rows.table))

    def read() -> tuple[int, Iterator[pa.RecordBatch]]:
        return rows.count, rows.batches(BATCH_ROWS)

    spread = (lambda: rows) if company.engine.name == "Spark" else None
    stream = FeatureStream(day, "tables", warnings, read, spread)
    usable = stream if rows.count and _complete(model, rows.table) else None
    return CurrentRows(day, "tables", rows.table, rows.count, company, usable, warnings)


def _complete(model: HealthModel, table: ir.Table) -> bool:
    return set(model.required_columns) <= set(table.columns)


def scores_of(
    project: Project, rows: CurrentRows, model: HealthModel, version: str
) -> tuple[pd.DataFrame | None, list[str]]:
    """Read the issued scores of the rows' date, or score them without issuing anything.

    Returns
    -------
    scores : DataFrame or None
        ``account_id``, ``segment``, ``score`` and ``probability``; None where they cannot be
        scored.
    notes : list of str
        One sentence each.
    """
    import pandas as pd

    from pipelines.store.opening import open_store
    from pipelines.store.runs import RunKey

    columns = ["account_id", "segment", "score", "probability"]
    notes: list[str] = []
    if rows.source == "tables":
        key = RunKey(project.outcome_name, rows.as_of, version)
        try:
            run = _issued_before(project, key)
            if run is not None and run.rows:
                with open_store(project, read_only=True) as store:
                    return store.scores(run, columns=columns).read_all().to_pandas(), notes
        except StoreError as error:
            notes.append(f"Issued scores were not looked at: {str(error).rstrip('.')}")
    if rows.stream is None:
        return None, notes
    count, scored = scored_batches(rows.stream, model, usable_cores())
    parts = []
    with show_rows("Score", count) as done:
        for batch, _ in scored:
            parts.append(batch.select(columns).to_pandas())
            done(batch.num_rows)
    return pd.concat(parts, ignore_index=True) if parts else None, notes


def feeds(
    company: Company, model: HealthModel, as_of: date, held: frozenset[str]
) -> list[Freshness]:
    """Find how new the rows are of each table that the champion depends on.

    Parameters
    ----------
    company : Company
        The tables.
    model : HealthModel
        The champion.
    as_of : date
        The date.
    held : frozenset of str
        Tables that held rows when it was trained: others were not waited for then either.
    """
    from features.tables.last_rows import freshness
    from models.drift.feed_faults import TABLES

    read = {TABLES[signal.group] for signal in model.signals}
    feeds = []
    for name, table in company.tables.items():
        if name not in held or (name not in read and name not in ALWAYS):
            continue
        if not table.is_dated or table.contract.time not in table.cleaned.columns:
            continue
        feeds.append(freshness(table.source_name, table.cleaned, table.contract.time, as_of))
    return feeds


def matured_rows(
    project: Project,
    company: Company,
    model: HealthModel,
    version: str,
    *,
    taught_until: date,
    as_of: date,
) -> tuple[pd.DataFrame | None, list[str]]:
    """Bring together what the champion said of later dates and what has happened since.

    Dates are those that training would observe; they lie after the newest one it learnt from, and
    their outcome was known on the date of the check. Issued scores count where there are any,
    else the champion scores the date now from what was known on it.

    Returns
    -------
    rows : DataFrame or None
        ``account_id``, ``observation_date``, ``segment``, ``probability``, ``happened`` and
        ``acted`` (whether somebody acted soon after the date); None where nothing has matured.
    notes : list of str
        One sentence each.
    """
    import pandas as pd

    from features.outcomes.labels import days_to_label, matured_dates

    outcome = project.settings.outcome
    if not company.is_dated:
        return None, ["The tables carry no dates: no outcome comes later than the training"]
    wait = timedelta(days=days_to_label(company, outcome))
    dates = [day for day in matured_dates(company, outcome) if taught_until < day <= as_of - wait]
    notes = []
    if len(dates) > MOST_MATURED_DATES:
        notes.append(
            f"Of {len(dates)} dates whose outcome is known since the training, the newest"
            f" {MOST_MATURED_DATES} are looked at"
        )
        dates = dates[-MOST_MATURED_DATES:]
    if not dates:
        return None, notes
    rows = _said_and_happened(project, company, model, dates)
    if rows is None:
        return None, notes
    issued = _issued_probabilities(project, version, dates)
    if issued is not None:
        rows = _as_issued(rows, issued)
    acted = acted_soon(project, company, rows)
    rows = rows.assign(acted=False if acted is None else acted)
    return (rows if isinstance(rows, pd.DataFrame) and len(rows) else None), notes


def _said_and_happened(
    project: Project, company: Company, model: HealthModel, dates: list[date]
) -> pd.DataFrame | None:
    """Score labelled rows some at a time, so that signals are never all in memory."""
    import pandas as pd

    from features.build import feature_rows
    from models.scoring.scorer import Scorer

    settings = project.settings
    with show_progress("Outcomes") as step:
        rows = feature_rows(
            company, dates, settings.outcome, settings.signals, labelled=True, progress=step
        )
    if not _complete(model, rows.table):
        return None
    scorer, parts = Scorer(model), []
    for batch in rows.batches(BATCH_ROWS):
        scored = scorer.score_batch(batch, reasons=1)
        part = scored.select(["account_id", "segment", "probability"]).to_pandas()
        for name in ("observation_date", "happened"):
            part[name] = batch[name].to_pandas()
        parts.append(part)
    return pd.concat(parts, ignore_index=True) if parts else None


def _issued_probabilities(project: Project, version: str, dates: list[date]) -> Any:
    """Read what was issued by the champion on some dates; None where nothing was."""
    import pandas as pd

    from pipelines.store.opening import open_store
    from pipelines.store.runs import EarlierStore, NoStore, RunKey

    parts = []
    try:
        with open_store(project, read_only=True) as store:
            for day in dates:
                run = store.newest(RunKey(project.outcome_name, day, version))
                if run is not None:
                    columns = ["account_id", "segment", "probability"]
                    part = store.scores(run, columns=columns).read_all().to_pandas()
                    parts.append(part.assign(observation_date=pd.Timestamp(day)))
    except (NoStore, EarlierStore):
        return None
    except StoreError:
        # Held by a job that writes: what the champion says now is the same model's word.
        return None
    return pd.concat(parts, ignore_index=True) if parts else None


def _as_issued(rows: pd.DataFrame, issued: pd.DataFrame) -> pd.DataFrame:
    """Let what was issued stand in the place of what is said now, account by account."""
    keys = ["account_id", "observation_date"]
    issued = issued.assign(observation_date=issued["observation_date"].astype("datetime64[us]"))
    rows = rows.assign(observation_date=rows["observation_date"].astype("datetime64[us]"))
    both = rows.merge(issued, on=keys, how="left", suffixes=("", "_issued"))
    for name in ("segment", "probability"):
        rows[name] = both[f"{name}_issued"].where(both[f"{name}_issued"].notna(), both[name])
    return rows


def no_columns(model: HealthModel, rows: CurrentRows) -> list[str]:
    """Say which columns segments are read from are gone: nobody can be put into a segment."""
    needed = model.segments.settings.required_columns
    absent = [name for name in needed if name not in rows.table.columns]
    if not absent:
        return []
    return [
        f"Segments are read from {sample(needed)}, and {sample(absent)} is no longer there:"
        " drift is judged over all accounts alone"
    ]


def _issued_before(project: Project, key: RunKey) -> Run | None:
    """Find what was issued for an outcome, a date and a model, without holding the store.

    None also where there is no store yet, or one of an earlier form, which issuing brings up to
    date: only then can be seen what it holds.
    """
    from pipelines.store.opening import open_store
    from pipelines.store.runs import EarlierStore, NoStore

    try:
        with open_store(project, read_only=True) as store:
            return store.newest(key)
    except (NoStore, EarlierStore):
        return None
