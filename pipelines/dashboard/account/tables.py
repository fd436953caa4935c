"""The source tables as the account page reads them: one account at a time, checked once per run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from pipelines.dashboard.account.ratings import Rating, ratings_of
from pipelines.project.company import open_project_source

if TYPE_CHECKING:
    import pandas as pd

    from features.catalog import Signal
    from features.tables.quality import TableQuality
    from pipelines.project.project import Project
    from pipelines.store.runs import Run


class SourceTables:
    """A project's tables, checked once per run and opened anew for every account.

    Nothing is held open between: a file that somebody else has to write stays free.

    Parameters
    ----------
    project : Project
        Whose tables.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self._checked: tuple[Run, dict[str, TableQuality], date] | None = None

    def read(
        self, run: Run, account_id: str, days: Sequence[date]
    ) -> tuple[pd.DataFrame, list[Rating], tuple[Signal, ...]]:
        """Build an account's signals as known on each date, with its ratings.

        Parameters
        ----------
        run : Run
            The tables are checked again when it is another one.
        account_id : str
            The account.
        days : sequence of date
            The run's date first; of the others, those from before the data began are left out.

        Returns
        -------
        frame : DataFrame
            A row per date on which the account was active.
        ratings : list of Rating
            Those known on the first of the dates.
        signals : tuple of Signal
            Signals that can be built now.
        """
        from features.build import build_features, signals_of
        from features.tables.company import Company, load_company

        settings = self.project.settings
        with open_project_source(self.project) as source:
            kept = self._checked
            if kept is None or kept[0] != run:
                company = load_company(
                    source,
                    settings.tables,
                    reading=settings.reading,
                    known_until=settings.source.data_end,
                )
                self._checked = (run, company.quality, company.data_end)
            else:
                company = Company(source.engine, _clean(self.project, source), kept[1], kept[2])
            # A snapshot without dates knows of the day it was scored on alone.
            past = [day for day in days[1:] if company.is_dated and day > company.data_start]
            signals = signals_of(company, settings.signals)
            frame = build_features(
                company,
                [days[0], *past],
                settings.outcome,
                settings.signals,
                labelled=False,
                account_id=account_id,
            )
            return frame, ratings_of(company, settings.signals, account_id, days[0]), signals


def _clean(project: Project, source: Any) -> dict[str, Any]:
    from features.tables.company import clean_tables

    settings = project.settings
    # Whoever gets here has been checked: whether accounts need dates has been settled before.
    return clean_tables(source, settings.tables, settings.reading, is_dated=False)
