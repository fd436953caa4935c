"""Feature rows of one date, some at a time: from a company's tables or from a written file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import DataError, sample
from pipelines.project.company import Keeping, ended_feeds, open_company, scoring_date
from pipelines.project.feature_table import feature_rows_of_date, refuse_lost_signals
from pipelines.project.project import Project

if TYPE_CHECKING:
    import pyarrow as pa

    from features.build import FeatureRows
    from models.scoring.health_model import HealthModel

BATCH_ROWS = 32_768
"""Rows of a batch: few enough to stay in a core's cache, enough to make calls cheap."""
CLOCK_SLACK = timedelta(days=1)
"""Somewhere it is tomorrow already."""


@dataclass(frozen=True)
class FeatureStream:
    """Feature rows of one date.

    Parameters
    ----------
    as_of : date
        The date.
    source : str
        Where they come from: "tables" or the file's name.
    warnings : list of str
        One sentence each.
    """

    as_of: date
    source: str
    warnings: list[str]
    _open: Callable[[], tuple[int, Iterator[pa.RecordBatch]]] = field(repr=False)
    _rows: Callable[[], FeatureRows] | None = field(default=None, repr=False)

    def read(self) -> tuple[int, Iterator[pa.RecordBatch]]:
        """Compute or open the rows: their number, and batches of them in order of account."""
        return self._open()

    @property
    def is_on_cluster(self) -> bool:
        """Whether the rows are spread over the workers of a cluster."""
        return self._rows is not None

    def on_cluster(self) -> FeatureRows:
        """Describe the rows where they lie."""
        assert self._rows is not None
        return self._rows()


@contextmanager
def feature_stream(
    project: Project,
    model: HealthModel,
    as_of: date | None,
    file: Path | None,
    keeping: Keeping | None = None,
) -> Iterator[FeatureStream]:
    """Open the feature rows that a model is to score.

    Parameters
    ----------
    project : Project
        The configuration.
    model : HealthModel
        What will read them.
    as_of : date or None
        Date whose signals are wanted; the day after the last row when None. A file has its own.
    file : Path or None
        A Parquet file of one date, as ``healthscore features`` writes it, in place of the tables.
    keeping : Keeping, optional
        Whether what is computed of each file of a table is kept for the next time.

    Raises
    ------
    DataError
        When the date lies outside the data, the file cannot be used, or a signal that the model
        reads is not there.
    """
    if file is not None:
        with _file_stream(file, as_of) as stream:
            yield stream
        return
    with open_company(project, keeping=keeping) as company:
        day, warnings = scoring_date(company, as_of)
        warnings = [*warnings, *ended_feeds(company, day)]
        refuse_lost_signals(project, company, model)

        def rows() -> FeatureRows:
            return feature_rows_of_date(project, company, day)

        def read() -> tuple[int, Iterator[pa.RecordBatch]]:
            features = rows()
            company.engine.unchanged()
            return features.count, features.batches(BATCH_ROWS)

        spread = rows if company.engine.name == "Spark" else None
        yield FeatureStream(day, "tables", warnings, read, spread)


@contextmanager
def _file_stream(file: Path, as_of: date | None) -> Iterator[FeatureStream]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        opened = parquet.ParquetFile(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(
            f"The feature table '{file}' cannot be read as Parquet: {str(error).splitlines()[0]};"
            " write one with 'healthscore features'"
        ) from error
    with opened:
        day = _date_of(opened, file)
        if as_of not in (None, day):
            raise DataError(
                f"The feature table '{file}' is of {day}, not of {as_of}; leave --as-of out or"
                " write the table of that date with 'healthscore features'"
            )

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in opened.iter_batches(BATCH_ROWS):
                _refuse_other_dates(batch, day, file)
                yield batch

        yield FeatureStream(day, file.name, [], lambda: (opened.metadata.num_rows, batches()))


def _date_of(opened: pa.parquet.ParquetFile, file: Path) -> date:
    absent = [n for n in ("account_id", "observation_date") if n not in opened.schema_arrow.names]
    if absent:
        raise DataError(
            f"The feature table '{file}' must have the columns account_id and observation_date,"
            f" and {sample(absent)} is absent; write one with 'healthscore features'"
        )
    first = next(opened.iter_batches(1, columns=["observation_date"]), None)
    moment = None if first is None else first["observation_date"][0].as_py()
    if moment is None:
        raise DataError(
            f"The feature table '{file}' holds no row with an observation_date; write one with"
            " 'healthscore features'"
        )
    day = moment.date() if isinstance(moment, datetime) else moment
    if not isinstance(day, date):
        raise DataError(
            f"Column observation_date of the feature table '{file}' must hold dates, found"
            f" {sample([moment])}; write one with 'healthscore features'"
        )
    today = datetime.now(tz=UTC).date()
    if day > today + CLOCK_SLACK:
        raise DataError(
            f"The feature table '{file}' is of {day}, which lies in the future of {today}: nothing"
            " is known then; correct observation_date"
        )
    return day


def _refuse_other_dates(batch: pa.RecordBatch, day: date, file: Path) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    days = pc.unique(batch["observation_date"].cast(pa.date32(), safe=False)).to_pylist()
    if days != [day]:
        other = [str(found) for found in days if found != day]
        raise DataError(
            f"The feature table '{file}' must be of one date, and holds {sample(other)} beside"
            f" {day}; write one table for each date"
        )
