"""Write the feature table to a file, for work outside this program."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import DataError, SettingsError, sample
from features.json_values import JsonReady
from pipelines.project.company import open_company, scoring_date
from pipelines.project.project import Project
from pipelines.reports.terminal.progress import show_progress
from pipelines.reports.terminal.whole_file import refuse_other_suffix, write_table

if TYPE_CHECKING:
    import pandas as pd

    from features.build import FeatureRows
    from features.tables.company import Company
    from models.scoring.health_model import HealthModel


@dataclass(frozen=True)
class FeatureTable(JsonReady):
    """A feature table that was written.

    Parameters
    ----------
    file : str
        Where it is.
    rows, signals : int
        Its size; beside the signals it holds the account, the date and, if labelled, ``happened``.
    dates : list of str
        Observation dates.
    warnings : list of str
        One sentence each.
    """

    file: str
    rows: int
    signals: int
    dates: list[str]
    warnings: list[str]


def write_features(
    project: Project, as_of: date | None, file: Path | None, *, labelled: bool
) -> FeatureTable:
    """Build the feature table of a date, or of every matured date with its label.

    Parameters
    ----------
    project : Project
        The configuration.
    as_of : date or None
        Date whose signals are wanted; the day after the last row when None.
    file : Path or None
        Where to write, as Parquet or CSV by its suffix; by default a Parquet file beside the
        configuration.
    labelled : bool
        Whether to write the matured observation dates with labels, as ``train`` reads them.

    Raises
    ------
    SettingsError
        When the file's suffix is neither.
    DataError
        When the date lies outside the data, no account was active, or the data break the contract.
    EvidenceError
        When labels are wanted and no observation date has matured.
    """
    if labelled and as_of is not None:
        raise SettingsError(
            "Option --as-of asks for one date and --labelled for every matured one; give one of"
            " them"
        )
    refuse_other_suffix(file, "The feature table")
    warnings: list[str] = []
    if labelled:
        from pipelines.project.rows import labelled_rows

        rows = labelled_rows(project)
        frame, count, name = rows.frame, len(rows.signals), "features-labelled.parquet"
    else:
        frame, count, day, warnings = _as_of(project, as_of)
        name = f"features-{day}.parquet"
    file = file or project.folder / name
    write_table(frame, file)
    dates = [f"{moment:%Y-%m-%d}" for moment in frame["observation_date"].drop_duplicates()]
    return FeatureTable(str(file), len(frame), count, dates, warnings)


def feature_rows_of_date(
    project: Project, company: Company, day: date, account_id: str | None = None
) -> FeatureRows:
    """Describe the signals of every active account on a date, or of one account.

    Raises
    ------
    DataError
        When no account at all was active.
    """
    from features.build import feature_rows

    settings = project.settings
    with show_progress("Signals") as step:
        rows = feature_rows(
            company,
            [day],
            settings.outcome,
            settings.signals,
            labelled=False,
            account_id=account_id,
            progress=step,
        )
    if not rows.count and account_id is None:
        raise DataError(
            f"No account was active on {day}; the data run from {company.data_start} to"
            f" {company.data_end}, so choose a date between or check [tables.subscriptions]"
        )
    return rows


def refuse_lost_signals(project: Project, company: Company, model: HealthModel) -> None:
    """Stop where the tables no longer give a signal that a model reads.

    Raises
    ------
    DataError
        Naming the signals.
    """
    from features.build import signals_of

    built = {signal.name for signal in signals_of(company, project.settings.signals)}
    lost = [signal.name for signal in model.signals if signal.name not in built]
    if lost:
        raise DataError(
            f"The model needs the signals {sample(lost, 5)}, which the configuration no longer"
            " gives; map their tables and columns again or train a new champion"
        )


def _as_of(project: Project, as_of: date | None) -> tuple[pd.DataFrame, int, date, list[str]]:
    from features.build import signals_of

    with open_company(project) as company:
        day, warnings = scoring_date(company, as_of)
        count = len(signals_of(company, project.settings.signals))
        rows = feature_rows_of_date(project, company, day)
        return rows.frame(), count, day, warnings
