"""What the source tables hold, what is missing in them and what cannot be true."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir

from features.errors import DataError, sample
from features.json_values import Json, JsonReady
from features.sources.engines.engine import NOTHING, Remembered
from features.tables.cleaning import CREDIT_NOTES, CleanTable
from features.tables.counted_parts import (
    EVERY_ROW,
    counted_by_parts,
    facts_of_accounts,
    is_counted_by_parts,
    own_times,
    raw_counts,
)
from features.tables.counted_parts import by_account as rows_by_account
from features.tables.doubts import row_doubts
from features.tables.links import links_to_accounts
from features.tables.mapping.contract import Column
from features.tables.mapping.finding import Code, Finding
from features.tables.mapping.reading_settings import MAY_BE_LOST
from features.tables.reading.evidence import Counts
from features.tables.reading.unreadable import refuse_unreadable

MANY_LEVELS = 100
NEVER_EMPTY = ("accounts", "subscriptions")
"""An attribute with more values than this is nearer to a name than to a kind of account."""


@dataclass(frozen=True)
class TableQuality(JsonReady):
    """Counts over one contract table.

    Parameters
    ----------
    name, source_name : str
        Contract name and the user's own name.
    rows, accounts : int
        Rows that can be used, and the distinct accounts among them.
    first, last : datetime or None
        Range of the row's own time.
    missing : dict of str to float
        Share of rows without a value, per optional column that is mapped.
    findings : tuple of Finding
        What is impossible, unreadable, left out or doubtful, each with its count.
    decided : tuple of str
        How values are read that could be read in two ways.
    """

    name: str
    source_name: str
    rows: int
    accounts: int
    first: datetime | None
    last: datetime | None
    missing: dict[str, float] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    decided: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """The findings, a sentence each."""
        return tuple(finding.text for finding in self.findings)

    def without(self, muted: Collection[str]) -> TableQuality:
        """Leave out findings that a person wants to hear of no more."""
        heard = (each for each in self.findings if not each.is_muted(self.name, muted))
        return replace(self, findings=tuple(heard))

    def to_dict(self) -> Json:
        """Return a JSON-ready description, times in ISO format."""
        findings = [
            {"code": each.code, "severity": each.severity, "text": each.text}
            for each in self.findings
        ]
        return super().to_dict() | {"problems": list(self.problems), "findings": findings}


def inspect_table(
    table: CleanTable,
    accounts: CleanTable,
    remembered: Remembered = NOTHING,
    may_be_lost: float = MAY_BE_LOST,
    by_account: ir.Table | None = None,
) -> TableQuality:
    """Count what one table holds and what is wrong with it.

    Of the parts of a table that are remembered, only the others are scanned; of a column no more
    than the share ``may_be_lost`` may be unreadable. Rows need not be put together by account
    again where :func:`features.tables.counted_parts.by_account` did.

    Raises
    ------
    DataError
        When too many values of a column cannot be read, or account ids are not unique.
    """
    is_accounts = table.contract.name == "accounts"
    if table.contract.name == "labels":
        # Few companies have labels: the others need not load what checks them.
        from features.tables.label_quality import refuse_wrong_labels

        refuse_wrong_labels(table)
    if is_accounts or (table.contract.name == "labels" and not table.is_dated):
        _refuse_duplicate_accounts(table)
    now = datetime.now(tz=UTC).replace(tzinfo=None)
    if by_account is None and table.is_dated:
        by_account = rows_by_account(table, remembered)
    raw_counts, facts = _counted(table, now, remembered, by_account)
    links = {} if is_accounts else links_to_accounts(table, accounts, by_account)
    kept = table.cleaned
    rows = _count(facts, "rows")
    columns = [table.contract.column(name) for name in kept.columns if name not in table.attributes]
    refuse_unreadable(table.contract, table.source_name, columns, raw_counts, may_be_lost)
    if table.contract.name in NEVER_EMPTY and not rows:
        raise DataError(
            f"Table '{table.source_name}' holds no row that can be used, and nothing can be learnt"
            f" without {table.contract.name}; load it, or correct [tables.{table.contract.name}]"
        )
    return TableQuality(
        name=table.contract.name,
        source_name=table.source_name,
        rows=rows,
        accounts=_count(facts, "accounts"),
        first=_moment(facts["first"]),
        last=_moment(facts["last"]),
        missing={
            name: _count(facts, f"missing:{name}") / rows
            for name in kept.columns
            if rows and name not in ("account_id", table.contract.time)
        },
        findings=tuple(_findings(table, columns, {**raw_counts, **facts, **links})),
        decided=table.decided,
    )


def _counted(
    table: CleanTable, now: datetime, remembered: Remembered, by_account: ir.Table | None
) -> tuple[Counts, Counts]:
    """Count over the raw and over the cleaned rows."""
    if by_account is not None and is_counted_by_parts(table, remembered):
        counted = counted_by_parts(table, now, remembered, by_account, _fact_measures)
        if counted is not None:
            return counted
    raw = raw_counts(table, table.raw, now).execute().iloc[0].to_dict()
    if by_account is not None and EVERY_ROW in raw:
        found = facts_of_accounts(table, raw, by_account, now)
        if found is not None:
            return raw, found
    kept = table.cleaned
    if not table.is_dated:
        kept = kept.mutate(**{table.contract.time: ibis.null("timestamp")})
    times = kept[table.contract.time]
    facts = kept.aggregate(
        **_fact_measures(table, kept),
        accounts=kept.account_id.nunique(),
        last=times.max(where=times <= ibis.literal(now)),
    )
    return raw, facts.execute().iloc[0].to_dict()


def _fact_measures(table: CleanTable, kept: ir.Table) -> dict[str, ir.Value]:
    """Build the counts of rows that can be used."""
    times = kept[table.contract.time]
    return {
        "rows": kept.count(),
        "first": times.min(),
        **{f"missing:{name}": kept.count() - kept[name].count() for name in kept.columns},
        **{
            f"backward:{column.name}": (kept[column.name] < times).sum()
            for column in table.contract.columns
            if column.known_at == column.name and table.has(column.name)
        },
    }


def data_end(
    qualities: Mapping[str, TableQuality], last_but_strays: datetime | None = None
) -> date:
    """Return the day after the last row of any table: nothing is known from then on.

    Stray rows do not count where it is known when the others end.

    Raises
    ------
    DataError
        When no table holds a row that is not in the future.
    """
    # A label tells of what comes after its date, not of what was known until then.
    known = (quality for quality in qualities.values() if quality.name != "labels")
    lasts = [quality.last for quality in known if quality.last is not None]
    if not lasts:
        raise DataError("The source holds no row with a readable time; check source.url")
    return (last_but_strays or max(lasts)).date() + timedelta(days=1)


def _refuse_duplicate_accounts(table: CleanTable) -> None:
    ids = table.cleaned.group_by("account_id").aggregate(copies=lambda t: t.count())
    doubled = ids.filter(ids.copies > 1)
    count = int(doubled.count().execute())
    if count:
        examples = doubled.order_by("account_id").limit(3).account_id.execute().tolist()
        listed = sample(examples) + (f" and {count - 3} more" if count > 3 else "")
        raise DataError(
            f"Table '{table.source_name}' must hold each account once and repeats {listed};"
            " remove the copies"
        )


def _findings(table: CleanTable, columns: list[Column], counts: Counts) -> list[Finding]:
    findings = [*_left_out(table), *table.notes, *row_doubts(table)]

    def add(code: Code, key: str, text: str) -> None:
        count = _count(counts, key)
        if count:
            findings.append(Finding(code, f"{count:,} {text}"))

    if not table.is_dated and table.contract.is_open:
        text = (
            f"it has no {table.contract.time}: its values count on every date, as if they had never"
            " changed"
        )
        findings.append(Finding("undated-values", text))
        repeats = _count(counts, "rows") - _count(counts, "accounts")
        if repeats:
            text = (
                f"{repeats:,} rows repeat an account and have no date: means of numbers count, and"
                " of texts the last in order"
            )
            findings.append(Finding("undated-repeats", text))
    add("no-account", "absent:account_id", "rows without an account_id are ignored")
    is_accounts = table.contract.name == "accounts"
    fate = "have an unknown tenure" if is_accounts else "are ignored"
    add(
        "no-time",
        f"absent:{table.contract.time}",
        f"rows without {' or '.join(own_times(table))} {fate}",
    )
    for column in columns:
        name = column.name
        add(
            "unreadable-values",
            f"unreadable:{name}",
            f"values of {name} cannot be read, such as"
            f" {sample([counts.get(f'example:{name}')])}, and count as missing",
        )
        add("infinite-values", f"infinite:{name}", f"infinite values of {name} count as missing")
        add(
            "no-end-written",
            f"open:{name}",
            f"values of {name}, such as {sample([counts.get(f'open_example:{name}')])}, stand for"
            " none and count as missing",
        )
        if name != "amount" or table.contract.name != "invoices":
            add(
                "negative-values",
                f"negative:{name}",
                f"negative values of {name} are impossible and count as missing",
            )
        add(
            "ends-before-start",
            f"backward:{name}",
            f"values of {name} lie before {table.contract.time}",
        )
        add(
            "future-times",
            f"future:{name}",
            f"values of {name} lie in the future; they count when it comes",
        )
        if _count(counts, f"zoned:{name}") and _count(counts, f"unzoned:{name}"):
            add(
                "zones-mixed",
                f"unzoned:{name}",
                f"values of {name} carry no time zone where others do; they are read as UTC",
            )
    add(
        "unknown-accounts",
        "unknown",
        f"rows belong to accounts that are not in accounts, such as"
        f" {sample([counts.get('unknown_example')])}{counts.get('unknown_hint', '')}, and are"
        " ignored",
    )
    for attribute in table.attributes:
        if _count(counts, f"levels:{attribute}") > MANY_LEVELS:
            add(
                "levels-many",
                f"levels:{attribute}",
                f"different values of attribute {sample([attribute])} are too many to learn from:"
                " only the most frequent are told apart",
            )
    if table.contract.name == "labels":
        add("labels-empty", "missing:happened", "labels hold nothing and teach nothing")
    if table.contract.name == "labels" and not table.is_dated:
        text = (
            "nothing has a date: a model is judged on other accounts, not on later dates, and"
            " what was written down after the outcome flatters it"
        )
        findings.append(Finding("labels-undated", text))
    add(
        "before-account",
        "early",
        f"rows have {table.contract.time} before the account's created_at",
    )
    return findings


def _left_out(table: CleanTable) -> list[Finding]:
    counts = {words: int(rows.count().execute()) for words, rows in table.left_out.items()}
    return [
        Finding("credit-notes" if words == CREDIT_NOTES else "rows-left-out", f"{count:,} {words}")
        for words, count in counts.items()
        if count
    ]


def _count(counts: Counts, key: str) -> int:
    value = counts.get(key)
    return 0 if value is None or value != value else int(value)


def _moment(value: Any) -> datetime | None:
    return None if value is None or value != value else value.to_pydatetime()
