"""From a configuration to a company's checked tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from features.errors import DataError
from features.packs.views import with_views
from features.sources.opening import open_source, remember
from features.sources.source import Source
from features.tables.company import Company, load_company
from pipelines.project.kept_checks import kept_checks
from pipelines.project.project import Project
from pipelines.project.records.calls import call_book
from pipelines.project.records.interventions import with_calls
from pipelines.reports.terminal.progress import show_progress

if TYPE_CHECKING:
    import pandas as pd

    from features.outcomes.settings import OutcomeSettings
    from features.packs.opening import Vendors
    from features.sources.lake.watermarks import Watermarks
    from features.tables.cleaning import CleanTable
    from features.tables.company import Progress

BEHAVIOUR = ("usage_events", "tickets", "invoices", "surveys", "trainings", "referrals", "ratings")
"""Tables of what accounts do, whose end makes them look silent."""
ERASURES = "erasures.jsonl"
SILENCE_DAYS = 7
"""An as-of date this far past the data's last row is refused: every account would look silent."""


@contextmanager
def open_project_source(project: Project, watermarks: Watermarks | None = None) -> Iterator[Source]:
    """Open the tables that a configuration names, those of its vendors among them.

    Rows of a MySQL server are kept by ``watermarks``, where they are given.

    Raises
    ------
    DataError
        When the source is missing, or a vendor's tables are laid out in another way.
    """
    with open_project_vendors(project, watermarks) as (source, _):
        yield source


@contextmanager
def open_project_vendors(
    project: Project, watermarks: Watermarks | None = None
) -> Iterator[tuple[Source, Vendors | None]]:
    """Open the same, with the vendors of which it came; None where there are none."""
    settings = project.settings
    source = settings.source
    if not source.vendors:
        with open_source(
            source.url, project.folder, source.encoding, watermarks=watermarks
        ) as opened:
            yield with_views(opened, settings.views), None
        return
    from features.packs.opening import open_vendors

    with open_vendors(
        source.url,
        project.folder,
        source.encoding,
        source.vendors,
        settings.identity,
        settings.tables.accounts,
    ) as (opened, vendors):
        yield with_views(opened, settings.views), vendors


@dataclass
class Keeping:
    """Whether a night reads only what is new, and what it says of it.

    Parameters
    ----------
    is_full : bool
        Whether everything is read and computed anew.

    Attributes
    ----------
    told : list of str
        Per table in several files, how many of them were read anew; and per table of a server
        whose rows are kept, how many were brought. Filled when the tables close.
    """

    is_full: bool = False
    told: list[str] = field(default_factory=list)


def _watermarks(project: Project, keeping: Keeping | None) -> Watermarks | None:
    """Say which rows of a server's tables are kept; None where nothing is."""
    columns = project.settings.tables.watermarks
    if keeping is None or not columns:
        return None
    from features.sources.lake.watermarks import Watermarks

    folder = project.settings.store.kept_folder(project.folder)
    return Watermarks(columns, folder, keeping.is_full)


@contextmanager
def _kept(
    project: Project, source: Source, keeping: Keeping | None, watermarks: Watermarks | None
) -> Iterator[None]:
    """Let a source remember what was computed of its parts."""
    settings = project.settings
    kept = None
    if keeping is not None:
        names = [mapping.source or name for name, mapping in settings.tables.mapped().items()]
        folder = settings.store.kept_folder(project.folder)
        kept = remember(source, names, folder, is_full=keeping.is_full)
    yield
    if keeping is not None:
        keeping.told[:] = [] if watermarks is None else watermarks.told
        if kept is not None:
            keeping.told += kept.told()
            kept.close()


@contextmanager
def open_company(
    project: Project, *, with_muted: bool = False, keeping: Keeping | None = None
) -> Iterator[Company]:
    """Open, map and check the tables that a configuration names, with the calls that were made.

    Parameters
    ----------
    project : Project
        The configuration.
    with_muted : bool
        Whether findings stay that ``[check] mute`` leaves out.
    keeping : Keeping, optional
        Have what is computed of each file of a table kept for the next time, and read from the
        last one.

    Raises
    ------
    DataError
        When the source or a mapped table or column is missing, or breaks the contract.
    StoreError
        When the record of calls was changed.
    """
    settings, watermarks = project.settings, _watermarks(project, keeping)
    with (
        open_project_source(project, watermarks) as source,
        _kept(project, source, keeping, watermarks),
        show_progress("Check") as step,
    ):
        company = _checked(project, source, keeping, step)
        if not with_muted:
            heard = {
                name: table.without(settings.check.mute) for name, table in company.quality.items()
            }
            company = replace(company, quality=heard)
        company = replace(company, tables=left_out(project, company.tables))
        yield with_calls(company, call_book(project.folder).counted())


def _checked(project: Project, source: Source, keeping: Keeping | None, step: Progress) -> Company:
    """Map the tables, and check them unless that was told of the very same files before."""
    settings = project.settings
    place = None if keeping is not None and keeping.is_full else kept_checks(project, source)
    told = None if place is None else place.read()
    company = load_company(
        source,
        settings.tables,
        reading=settings.reading,
        known_until=settings.source.data_end,
        told=told,
        progress=step,
    )
    # Commands that only ask leave nothing behind.
    if place is not None and told is None and keeping is not None:
        place.keep(company)
    return company


def left_out(project: Project, tables: dict[str, CleanTable]) -> dict[str, CleanTable]:
    """Leave accounts out of tables that were erased although the tables still hold them.

    Raises
    ------
    StoreError
        When the record of erasures was changed.
    """
    if not (project.folder / ERASURES).exists() or "accounts" not in tables:
        return tables
    from pipelines.project.records.erased import erased_book

    accounts = tables["accounts"].cleaned.select("account_id").distinct().to_pyarrow()
    blocked = erased_book(project.folder).blocked(accounts.column("account_id").to_pylist())
    if not blocked:
        return tables
    return {
        name: replace(table, cleaned=table.cleaned.filter(table.cleaned.account_id.notin(blocked)))
        for name, table in tables.items()
    }


def scoring_date(company: Company, as_of: date | None) -> tuple[date, list[str]]:
    """Return the date to score and warnings about it.

    Parameters
    ----------
    company : Company
        The tables.
    as_of : date or None
        The date asked for; the first day after the data when None.

    Raises
    ------
    DataError
        When the date lies before the data or long after it.
    """
    end = company.data_end
    if as_of is None:
        return end, []
    if as_of <= company.data_start:
        raise DataError(
            f"Date {as_of} lies before the data, which start on {company.data_start}:"
            f" nothing is known then; choose a date up to {end}"
        )
    if as_of > end + timedelta(days=SILENCE_DAYS):
        raise DataError(
            f"Date {as_of} lies more than {SILENCE_DAYS} days after the data, which end before"
            f" {end}: every account would look silent; load newer data or choose a date up to {end}"
        )
    if as_of > end:
        return as_of, [f"The data end before {end}; {as_of} is scored from what was known then"]
    return as_of, []


def ended_feeds(company: Company, day: date) -> list[str]:
    """Say which tables ended long before a date, beside how often they had rows until then.

    Parameters
    ----------
    company : Company
        The tables.
    day : date
        The date to be scored: a table that ended makes every account look silent.

    Returns
    -------
    list of str
        One sentence for all of them, or nothing.
    """
    from features.tables.last_rows import freshness

    # That all of them end before the date is said once, of all.
    day = min(day, company.data_end)
    ended = []
    for name, table in company.tables.items():
        quality, moment = company.quality.get(name), table.contract.time
        newest = None if quality is None else quality.last
        # Of most tables the newest row says enough; only of the others every day is counted.
        if name not in BEHAVIOUR or newest is None or (day - newest.date()).days <= SILENCE_DAYS:
            continue
        known = freshness(table.source_name, table.cleaned, moment, day)
        if known.has_stopped and known.newest is not None and known.usual_gap_days > 0:
            ended.append(f"'{table.source_name}' on {known.newest}")
    if not ended:
        return []
    return [
        f"Tables ended long before {day}: {', '.join(ended)}; what they tell of looks silent, so"
        " load the days that are missing and score again"
    ]


def dated_events(company: Company, outcome: OutcomeSettings) -> pd.DataFrame | None:
    """List ``account_id`` and ``happened_at`` of each churn.

    None where nothing has a date, and for other outcomes: those are known of a window, not of a
    day.
    """
    from features.outcomes.churned import churn_dates

    if not company.is_dated or outcome.kind != "churn":
        return None
    events: pd.DataFrame = churn_dates(company, outcome).execute()
    return events.rename(columns={"churned_at": "happened_at"})
