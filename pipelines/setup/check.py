"""The data quality report: what the tables hold, what is wrong, and which groups are on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from features.errors import SettingsError, sample
from features.json_values import Json
from pipelines.project.company import Keeping, open_company
from pipelines.project.project import Project
from pipelines.project.settings.score import MAIN

if TYPE_CHECKING:
    from features.builders.builder import Builder
    from features.catalog import Signal
    from features.tables.company import Company
    from features.tables.quality import TableQuality


@dataclass(frozen=True)
class OutcomeReport:
    """Whether one outcome can be read from the tables.

    Parameters
    ----------
    kind : str
        Churn, contraction, expansion, adoption or label.
    observation_dates : list of str
        Matured observation dates.
    problem : str or None
        Why it cannot be read.
    """

    kind: str
    observation_dates: list[str]
    problem: str | None


@dataclass(frozen=True)
class DataReport:
    """What ``healthscore check`` says.

    Parameters
    ----------
    tables : list of TableQuality
        One entry per mapped table.
    absent : list of str
        Contract tables that are not mapped.
    groups : dict of str to int
        Signals per group; 0 where the group is off.
    owners : list of str
        Mapped attributes that name who looks after an account, which no model reads.
    data_start, data_end : str
        ISO dates of the first behaviour and of the first day of which nothing is known.
    observation_dates : list of str
        Matured observation dates of the main outcome.
    outcomes : dict of str to OutcomeReport
        Per name of an outcome, whether it can be read.
    never_full : list of str
        Signals whose window is longer than all that is known, and for how many days it looks back.
    muted : int
        Findings that ``[check] mute`` leaves out.
    engine : str
        What computes, and whether its suite of tests runs: "DuckDB (run)".
    read : list of str
        Per table in several files, how many of them were read anew.
    """

    tables: list[TableQuality]
    absent: list[str]
    groups: dict[str, int]
    owners: list[str]
    data_start: str
    data_end: str
    observation_dates: list[str]
    outcomes: dict[str, OutcomeReport]
    never_full: list[str]
    muted: int
    engine: str
    read: list[str]

    @property
    def problems(self) -> int:
        """How many findings there are."""
        return sum(len(table.findings) for table in self.tables)

    def to_dict(self) -> Json:
        """Return what ``check --json`` prints."""
        return {
            "tables": {table.name: table.to_dict() for table in self.tables},
            "absent": self.absent,
            "groups": self.groups,
            "owners": self.owners,
            "data_start": self.data_start,
            "data_end": self.data_end,
            "observation_dates": self.observation_dates,
            "outcomes": {name: asdict(outcome) for name, outcome in self.outcomes.items()},
            "never_full": self.never_full,
            "problems": self.problems,
            "muted": self.muted,
            "engine": self.engine,
            "read": self.read,
        }


def check_data(project: Project, *, full: bool = False) -> DataReport:
    """Read every mapped table and report on it.

    Of tables in several files only those are counted that were not before, unless all are to be.

    Raises
    ------
    DataError
        When a table or column is missing or cannot be read as what it must be.
    """
    from features.build import active_builders
    from features.builders.owners import owner_attributes
    from features.catalog import GROUPS
    from features.sources.engines.compiled import label_of
    from features.tables.mapping.contract import CONTRACT

    mute = project.settings.check.mute
    keeping = Keeping(full)
    with open_company(project, with_muted=True, keeping=keeping) as company:
        builders = active_builders(company, project.settings.signals)
        outcomes = {
            name: _outcome_report(company, project.for_outcome(name))
            for name in (MAIN, *project.settings.outcomes)
        }
        counts = Counter(signal.group for signals in builders.values() for signal in signals)
        tables = [
            _without_amount(
                company, _without_contract(company, _with_early_end(company, each)), project
            )
            for each in company.quality.values()
        ]
        tables = [_without_due_date(company, each) for each in tables]
        heard = [table.without(mute) for table in tables]
        return DataReport(
            tables=heard,
            absent=[name for name in CONTRACT if name not in company.tables],
            groups={group: counts[group] for group in GROUPS},
            owners=owner_attributes(company, project.settings.signals),
            data_start=company.data_start.isoformat(),
            data_end=company.data_end.isoformat(),
            observation_dates=outcomes[MAIN].observation_dates,
            outcomes=outcomes,
            never_full=_never_full(company, builders),
            muted=sum(len(table.findings) for table in tables)
            - sum(len(table.findings) for table in heard),
            engine=f"{company.engine.name} ({label_of(company.engine.name)})",
            # Filled when the tables close.
            read=keeping.told,
        )


def _never_full(company: Company, builders: Mapping[Builder, tuple[Signal, ...]]) -> list[str]:
    """Name signals whose window reaches back before the first row on every date there is."""
    known = (company.data_end - company.data_start).days
    return [
        f"{signal.name} ({signal.window_days:,} days)"
        for signals in builders.values()
        for signal in signals
        if signal.window_days is not None and signal.window_days > known
    ]


def _without_contract(company: Company, quality: TableQuality) -> TableQuality:
    """Say how many accounts no contract is of: they are active on no date."""
    from features.tables.mapping.finding import Finding

    contracts = company.tables.get("subscriptions")
    if quality.name != "accounts" or contracts is None:
        return quality
    accounts = company.tables["accounts"].cleaned.select("account_id")
    rows = contracts.cleaned.select("account_id")
    without = int(accounts.anti_join(rows, "account_id").count().execute())
    if not without:
        return quality
    text = (
        f"{without:,} of {quality.accounts:,} accounts have no contract and count on no date: if"
        " they are customers, their contracts are missing"
    )
    return replace(quality, findings=(*quality.findings, Finding("without-contract", text)))


def _without_amount(company: Company, quality: TableQuality, project: Project) -> TableQuality:
    """Say that contracts have no amount where a number of theirs may be one."""
    from features.tables.mapping.finding import Finding
    from pipelines.setup.guessing.amounts import may_be_amounts

    mapping = project.settings.tables.subscriptions
    if quality.name != "subscriptions" or mapping is None:
        return quality
    table = company.tables["subscriptions"]
    if table.has("mrr") or table.source is None:
        return quality
    perhaps = may_be_amounts(table.source, [*mapping.columns.values(), *mapping.columns])
    if not perhaps:
        return quality
    text = (
        "no column is mapped as mrr, so no report says what is at stake; it may be in"
        f" {sample(perhaps, 4)}"
    )
    return replace(quality, findings=(*quality.findings, Finding("no-amount", text)))


def _without_due_date(company: Company, quality: TableQuality) -> TableQuality:
    """Say that nothing tells when invoices are due, and what that switches off."""
    from features.tables.mapping.finding import Finding

    if quality.name != "invoices" or company.tables["invoices"].has("due_at"):
        return quality
    text = (
        "no column is mapped as due_at, so signals of overdue invoices are off: amounts count by"
        " the day of the row; map one if there is one"
    )
    return replace(quality, findings=(*quality.findings, Finding("no-due-date", text)))


def _with_early_end(company: Company, quality: TableQuality) -> TableQuality:
    """Say when a table's rows stop so long before the data's end as they never have."""
    from features.tables.last_rows import freshness
    from features.tables.mapping.finding import Finding

    table = company.tables[quality.name]
    if quality.name == "labels" or not table.is_dated or quality.last is None:
        return quality
    if quality.name == "accounts" and not _others_know_more(company):
        # Who wins no customer has no new account; an account that is missing has rows elsewhere.
        return quality
    rows, moment = table.cleaned, table.contract.time
    if quality.name == "subscriptions" and table.has("ended_at"):
        # A contract that ends is news of the table as one that begins is.
        ends = rows.select(ended_at=rows.ended_at).filter(lambda t: t.ended_at.notnull())
        rows = rows.select(moment).union(ends.rename({moment: "ended_at"}))
    fresh = freshness(quality.source_name, rows, moment, company.data_end)
    if not fresh.has_stopped or fresh.newest is None:
        return quality
    text = (
        f"its last row is of {fresh.newest}, {(company.data_end - fresh.newest).days} days before"
        f" the data end, and it never was without rows for more than {fresh.usual_gap_days:.0f}"
        " days before: load what is missing, or set [source] data_end to the day after it"
    )
    return replace(quality, findings=(*quality.findings, Finding("table-ends-early", text)))


def _others_know_more(company: Company) -> bool:
    """Whether a table has rows of accounts that the table of accounts lacks."""
    findings = (each for quality in company.quality.values() for each in quality.findings)
    return any(each.code == "unknown-accounts" for each in findings)


def _outcome_report(company: Company, project: Project) -> OutcomeReport:
    from features.outcomes.labels import matured_dates, why_no_date

    outcome = project.settings.outcome
    try:
        dates = matured_dates(company, outcome)
    except SettingsError as error:
        return OutcomeReport(outcome.kind, [], str(error))
    problem = None if dates else why_no_date(company, outcome, project.outcome_section)
    return OutcomeReport(outcome.kind, [day.isoformat() for day in dates], problem)
