"""Which columns of one table fill the contract: names first, and what values show of the rest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from features.packs.values import words_of as words_of_value
from features.sources.files.plain_forms import without_none
from features.tables.doubts import NEVER_PAID_WORDS, VOID_WORDS, status_columns
from features.tables.mapping.contract import CONTRACT, Column, Kind
from features.tables.mapping.ends import NO_END, Period, is_no_end
from pipelines.setup.guessing.evidence import (
    MOST_COLUMNS,
    can_be,
    earliest,
    first_times,
    is_compact_day,
    is_epoch,
    is_number_for_time,
    time_columns,
    why_not,
)
from pipelines.setup.guessing.names import COLUMN_NAMES, LOADERS_DELETIONS
from pipelines.setup.guessing.words import by_core, by_name, own_words, plain, words_of

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

    from features.sources.source import Source

MOST_CODES = 9
FEWEST_ENDED, FEW_KNOWN = 5, 0.1
PERIOD_ENDS = ("currentperiodend", "currenttermend", "currentperiodendsat", "nextbillingat")
_CENTS = re.compile(r"(^|_)(cents?|minor|pence|in_cents|minor_units?)(_|$)", re.I)


@dataclass(frozen=True)
class Hints:
    """What a person said of tables that no vendor writes.

    Parameters
    ----------
    trials : bool
        Whether trials count as contracts.
    hundredths : bool or None
        Whether whole numbers of a price are hundredths; concluded from them where None.
    rated : frozenset of str
        Currencies whose rates are known.
    """

    trials: bool = False
    hundredths: bool | None = None
    rated: frozenset[str] = frozenset()


NO_HINTS = Hints()


@dataclass
class TableGuess:
    """What one source table seems to be.

    Parameters
    ----------
    name, source : str
        Contract name and the table's own.
    columns : dict of str to str
        Contract column to source column, where the names differ.
    missing : list of str
        Required contract columns for which nothing fits.
    account_via : tuple of str or None
        Source table, its key, its account column, and this table's column, where the account is
        found through another table.
    unused : list of str
        Columns left over.
    notes : list of str
        What a person should check.
    keep : list of (str, str, value)
        Rules for the rows that count: a column, a test and its value.
    numbers_as_times : str or None
        What numbers under the name of a time are.
    view : str or None
        The query it is made by, where no table of the source holds it as it must be.
    covers : {"week", "month", "quarter"} or None
        What a row sums up, from its own time on.
    made_from : str or None
        The table that such a query reads in the first place.
    a_row_a_term : bool
        Whether each term of a contract has a row of its own.
    """

    name: str
    source: str
    columns: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    account_via: tuple[str, str, str, str] | None = None
    unused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    keep: list[tuple[str, str, bool | list[str]]] = field(default_factory=list)
    numbers_as_times: str | None = None
    view: str | None = None
    covers: Period | None = None
    made_from: str | None = None
    a_row_a_term: bool = False


def guess_table(name: str, source_name: str, source: Source, hints: Hints = NO_HINTS) -> TableGuess:
    """Guess the columns of one table."""
    table = source.tables[source_name]
    guess = TableGuess(name, source_name)
    guess.unused = list(table.columns)
    own = own_words(name, source_name)
    contract = CONTRACT[name].all_columns()

    @cache
    def fits(origin: str, kind: Kind, may_never_come: bool) -> bool:
        return _fits(table, origin, Column("", kind, may_never_come=may_never_come))

    listed = _looked_at(table, contract)
    fitting = {
        each.name: [o for o in listed if fits(o, each.kind, each.may_never_come)]
        for each in contract
    }
    # What is called so goes before what is called alike, in whatever column.
    for column in contract:
        free = [o for o in fitting[column.name] if o in guess.unused]
        _take(guess, column.name, by_name(free, _called(column)))
    for column in contract:
        if column.name not in guess.columns and column.kind != "id":
            free = [o for o in fitting[column.name] if o in guess.unused]
            _take(guess, column.name, by_core(free, _called(column), column.kind, own))
    for column in contract:
        if column.name in guess.columns:
            continue
        if column.required:
            guess.missing.append(column.name)
        _explain(guess, table, column)
    _find_times(guess, table)
    for column in contract:
        origin = guess.columns.get(column.name, "")
        if column.kind == "time" and origin and is_epoch(table, origin):
            guess.numbers_as_times = "unix"
            guess.notes.append(f"{origin} holds numbers, which are read as times of kind 'unix'")
    _correct_term_ends(guess, table)
    _leave_out_todays_renewal(guess, table)
    _note_period_end(guess)
    _note_trials(guess)
    _leave_out_cents(guess)
    _leave_out_mixed(guess, table, hints.rated)
    _drop_rows(guess, table)
    return guess


def _looked_at(table: ir.Table, contract: Sequence[Column]) -> list[str]:
    """List the columns whose values are looked at: of a very wide table those of known words."""
    if len(table.columns) <= MOST_COLUMNS:
        return list(table.columns)
    known = {word for column in contract for name in _called(column) for word in words_of(name)}
    return [name for name in table.columns if known & set(words_of(name))][:MOST_COLUMNS]


def _called(column: Column) -> tuple[str, ...]:
    return (column.name, *COLUMN_NAMES.get(column.name, ()))


def _fits(table: ir.Table, origin: str, column: Column) -> bool:
    if can_be(table, origin, column):
        return True
    if column.kind != "time" or not table[origin].type().is_integer():
        return False
    return is_compact_day(table, origin) or is_epoch(table, origin)


def _take(guess: TableGuess, name: str, origin: str | None) -> None:
    if origin is not None:
        guess.columns[name] = origin
        guess.unused.remove(origin)


def _explain(guess: TableGuess, table: ir.Table, column: Column) -> None:
    """Name a column that is there by name and cannot be read, and why; numbers may be times."""
    named = by_name(guess.unused, _called(column))
    if named is None or (guess.name == "accounts" and column.name == "name"):
        return
    number_is = is_number_for_time(table, named) if column.kind == "time" else None
    if number_is is None:
        guess.notes.append(why_not(table, named, column))
        return
    guess.columns[column.name] = named
    guess.unused.remove(named)
    # Days written as 20241231 are read so without being told.
    guess.numbers_as_times = None if number_is == "compact" else number_is
    if column.name in guess.missing:
        guess.missing.remove(column.name)
    guess.notes.append(f"{named} holds numbers, which are read as times of kind {number_is!r}")


def _find_times(guess: TableGuess, table: ir.Table) -> None:
    """Take the earliest complete time for when a row happened, whatever its name, and its end."""
    own = CONTRACT[guess.name].time
    end = {"subscriptions": "ended_at", "tickets": "closed_at", "invoices": "paid_at"}.get(
        guess.name
    )
    wanted = own in guess.missing, end is not None and end not in guess.columns
    if not any(wanted):
        return
    left = time_columns(table, guess.unused)
    began = guess.columns.get(own)
    rows = first_times(table, [*left, *([began] if began else [])])
    full = [name for name in left if len(rows) and rows[name].notna().all()]
    if wanted[0] and full:
        began = earliest(rows, full)
        left.remove(began)
        full.remove(began)
        _say(guess, began, own, "is the only time" if not full else "is the first of the times")
    if began is None:
        return
    if guess.name == "invoices" and "due_at" not in guess.columns:
        full = [name for name in full if _lies_after(rows, name, began)]
        if full:
            _say(guess, full[0], "due_at", "is another time")
    if end is None or not wanted[1]:
        return
    later = [name for name in left if name not in full and _lies_after(rows, name, began)]
    if guess.name == "subscriptions":
        later = [name for name in later if not _NO_END.search("_".join(words_of(name)))]
        # Where the start is called so, an end is too: another time may be of anything.
        _take_end(guess, rows, later, must_be_called=not wanted[0])
    elif len(later) == 1 and wanted[0]:
        guess.notes.append(f"{later[0]} is the other time, which some rows lack, so it is {end}")
        _take(guess, end, later[0])


_NO_END = re.compile("trial|renew|next|period|bill|paid|pause|due|request|notice|sign|first", re.I)
WRITTEN_TOGETHER = 0.9
"""Times of a contract that say nothing of its end."""
_AN_END = re.compile(
    "(?<![lpv])end(?!er|or|ar)|cancel|terminat|expir|churn|until|clos|stop|revok|valid_to", re.I
)


def _take_end(
    guess: TableGuess, rows: pd.DataFrame, later: list[str], *, must_be_called: bool
) -> None:
    """Take the time that some rows lack for the end: of several the one called so, and latest."""
    called = [name for name in later if _AN_END.search(name)]
    listed = called or ([] if must_be_called else later)
    if not listed or (len(listed) > 1 and not called and not _are_written_together(rows[listed])):
        return
    best = max(listed, key=lambda name: (rows[name].median(), -listed.index(name)))
    others = [name for name in listed if name != best]
    why = f"the latest of {', '.join([best, *others])}" if others else "the other time"
    guess.notes.append(f"{best} is {why}, which some rows lack, so it is ended_at")
    _take(guess, "ended_at", best)


def _are_written_together(rows: pd.DataFrame) -> bool:
    """Whether the same rows have all of some times, as of a notice and the end that it brings."""
    some = rows[rows.notna().any(axis=1)]
    return bool(len(some) and some.notna().all(axis=1).mean() >= WRITTEN_TOGETHER)


def _say(guess: TableGuess, origin: str, name: str, why: str) -> None:
    guess.notes.append(f"{origin} {why} that every row has, so it is {name}")
    if name in guess.missing:
        guess.missing.remove(name)
    _take(guess, name, origin)


def _lies_after(rows: pd.DataFrame, name: str, began: str) -> bool:
    both = rows[[name, began]].dropna()
    return bool(len(both) and (both[name] >= both[began]).mean() >= 0.9)


def _leave_out_todays_renewal(guess: TableGuess, table: ir.Table) -> None:
    """Leave out a renewal that no contract has once it has ended: it was overwritten until then."""
    renewal, end = guess.columns.get("renewal_at"), guess.columns.get("ended_at")
    if guess.name != "subscriptions" or not renewal or not end:
        return
    rows = first_times(table, [renewal, end])
    ended, running = rows[rows[end].notna()], rows[rows[end].isna()]
    if len(ended) < FEWEST_ENDED or not len(running):
        return
    if ended[renewal].notna().mean() < FEW_KNOWN < running[renewal].notna().mean():
        guess.columns.pop("renewal_at")
        guess.unused.append(renewal)
        if plain(renewal) == "renewalat":
            guess.columns["renewal_at"] = ""
        guess.notes.append(
            f"{renewal} is known of running contracts alone, so it says what is so today and is no"
            " renewal of the past: it is left out"
        )


def _note_period_end(guess: TableGuess) -> None:
    """Say that a cancelled contract runs to the end of its period, which no history dates."""
    period = next((name for name in guess.unused if plain(name) in PERIOD_ENDS), None)
    if guess.name != "subscriptions" or period is None:
        return
    guess.notes.append(
        f"{period} says when the period of today ends and is no renewal of the past: it is left out"
    )
    end = guess.columns.get("ended_at", "")
    if "cancel" in end.lower():
        guess.notes.append(
            f"{end} may be the day of the request, and the contract run until {period}: map a"
            " column that says when it ended, if there is one"
        )


def _note_trials(guess: TableGuess) -> None:
    """Say that trials count, where a column says when they end."""
    trial = next((name for name in guess.unused if plain(name).startswith("trialend")), None)
    if guess.name == "subscriptions" and trial is not None:
        guess.notes.append(
            f"{trial} says when a trial ends: contracts that ended with it were never paid, and"
            " count; leave them out in a view, [views.NAME] sql"
        )


def _leave_out_cents(guess: TableGuess) -> None:
    """Leave out amounts in hundredths: they would count a hundredfold."""
    for name in ("mrr", "amount"):
        origin = guess.columns.get(name, "")
        if _CENTS.search(origin):
            del guess.columns[name]
            guess.unused.append(origin)
            guess.notes.append(
                f"{origin} holds hundredths and is left out: divide it by 100 in a view,"
                f" [views.NAME] sql, and map {name}"
            )


def _leave_out_mixed(guess: TableGuess, table: ir.Table, rated: frozenset[str]) -> None:
    """Leave out amounts in several currencies, which mean nothing together without rates."""
    money = next((name for name in ("mrr", "amount") if name in guess.columns), None)
    currency = guess.columns.get("currency")
    if money is None or currency is None:
        return
    code = words_of_value(table[currency])
    codes = table.select(code=code).filter(lambda t: t.code.notnull()).distinct().order_by("code")
    listed = codes.limit(MOST_CODES).execute()["code"].tolist()
    if len(listed) > 1 and not rated.issuperset(listed):
        origin = guess.columns.pop(money)
        del guess.columns["currency"]
        guess.unused += [origin, currency]
        # An empty text switches a column of the contract's own name off.
        guess.columns |= {name: "" for name in (money, "currency") if name in (origin, currency)}
        guess.notes.append(
            f"{origin} is in several currencies, {', '.join(listed)}, and is left out: give their"
            f" rates, as in --currency {listed[0]} --rate {listed[1]}=1.1, and draft again"
        )


def _drop_rows(guess: TableGuess, table: ir.Table) -> None:
    """Leave out rows that a loader marks as deleted, and invoices that a status calls void."""
    for name in table.columns:
        test = LOADERS_DELETIONS.get(name.lower())
        if test is not None:
            guess.keep.append((name, *test))
    refused = {"invoices": VOID_WORDS, "subscriptions": NEVER_PAID_WORDS}.get(guess.name)
    if refused is not None:
        for name, words in status_columns(table, refused).items():
            guess.keep.append((name, "not_in", words))
            guess.notes.append(f"rows whose {name} is {', '.join(words)} are left out")


def _correct_term_ends(guess: TableGuess, table: ir.Table) -> None:
    """Take an end that every row has for the end of a term, not of the relationship."""
    origin = guess.columns.get("ended_at")
    if guess.name != "subscriptions" or origin is None or "renewal_at" in guess.columns:
        return
    if int(table[origin].isnull().sum().execute() or 0) == 0 and not _has_open_ends(table, origin):
        # An empty text switches a column of the contract's own name off.
        guess.columns["ended_at"] = ""
        guess.columns["renewal_at"] = origin
        guess.notes.append(
            f"every row has an {origin}, so it is taken as the end of a term (renewal_at)"
        )


def _has_open_ends(table: ir.Table, origin: str) -> bool:
    """Whether some ends are written as none: NULL, 9999-12-31, 1970-01-01."""
    kind = table[origin].type()
    if kind.is_string():
        text = without_none(table[origin], may_be_open=True)
        year = text.re_extract("(^|[^0-9])([0-9]{4})($|[^0-9])", 2).try_cast("int64")
        none = text.isnull() | ~year.between(NO_END[0].year + 1, NO_END[1].year - 1)
    elif kind.is_timestamp() or kind.is_date():
        none = table[origin].isnull() | is_no_end(table[origin].cast("timestamp"))
    else:
        return False
    return bool(none.fill_null(False).any().execute())
