"""Contracts that were paid for, and what a month of each is worth: by a query where need be.

Trials that ended without a contract, tests and older versions of a row are nobody's contract, and
a price may stand in hundredths, for a year, in a plan or in items.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from features.packs.values import flag
from pipelines.setup.guessing.amounts import (
    Part,
    Price,
    find_price,
    has_items,
    may_be_amounts,
    plain_month,
)
from pipelines.setup.guessing.evidence import first_times, is_epoch, time_columns
from pipelines.setup.guessing.keys import Keys
from pipelines.setup.guessing.sql import named, read_by, same_text, table_named
from pipelines.setup.guessing.words import words_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.sources.source import Source
    from pipelines.setup.guessing.columns import Hints, TableGuess

_TRIAL_END = re.compile("trial.*(end|until|expire|_to$)|(end|until).*trial", re.I)
_TRIAL = re.compile("(^|_)trial(_|$)", re.I)
_TRIAL_WORD = r"(^|[^a-z])(free.?)?trial([^a-z]|$)"
_SORT = re.compile("(^|_)(plan|tier|product|offer|type|kind|edition|package)(_|$)", re.I)
MOST_WORDS = 10
_PAID_FROM = re.compile(
    r"(^|_)(convert\w*|conversion|paid|first_pa(id|yment)|subscribed|paying)(_|$)", re.I
)
_NOT_FROM = re.compile(r"(^|_)(last|next|end\w*|until|through|to)(_|$)", re.I)
_LIVE = re.compile("^(is_)?live_?(mode)?$", re.I)
_TEST = re.compile("^(is_)?(test|test_?mode|sandbox|internal|demo|dummy)(_account|_mode)?$", re.I)
CURRENT_VERSIONS = {
    "dbt_valid_to": ("missing", True),
    "_fivetran_active": ("is", True),
    "is_current": ("is", True),
    "is_latest": ("is", True),
    "current_flag": ("is", True),
}
"""What marks the newest version of a row, and the test that it passes."""
LOADERS_VERSIONS = ("dbt_valid_to", "_fivetran_active")
_ISO = r"^\d{4}-\d{2}-\d{2}"
LONGEST_TRIAL_DAYS = 62
MOSTLY = 0.9
MADE = "contracts_paid"
AMOUNT, CURRENCY, FROM = "monthly_amount", "amount_currency", "paid_from"


def drop_what_is_none(guess: TableGuess, table: ir.Table, *, trials: bool) -> None:
    """Leave out tests, older versions and rows that are flagged as trials."""
    if guess.name not in ("accounts", "subscriptions", "invoices"):
        return
    for name in table.columns:
        words = "_".join(words_of(name))
        version = CURRENT_VERSIONS.get(name.lower())
        if guess.name != "accounts" and name.lower() not in LOADERS_VERSIONS:
            # Of contracts it may say which run: the others are those that ended.
            version = None
        if version is not None and _has_versions(table, name, version[0]):
            guess.keep.append((name, *version))
            guess.notes.append(f"older versions of a row are left out, by {name}")
        elif _LIVE.match(words) and _flagged(table, name, of=False):
            guess.keep.append((name, "is", True))
            guess.notes.append(f"rows of test mode are left out, by {name}")
        elif _TEST.match(words) and _flagged(table, name, of=True):
            guess.keep.append((name, "is_not", True))
            guess.notes.append(f"rows that are tests or the company's own are left out, by {name}")
        elif guess.name == "subscriptions" and not trials and _TRIAL.search(words):
            _drop_flagged_trials(guess, table, name)
        elif guess.name == "subscriptions" and not trials and _SORT.search(words):
            _drop_trials_by_word(guess, table, name)


def _has_versions(table: ir.Table, name: str, test: str) -> bool:
    if test == "is":
        return _flagged(table, name, of=False)
    missing = int(table[name].isnull().sum().execute() or 0)
    return 0 < missing < int(table.count().execute())


def _flagged(table: ir.Table, name: str, *, of: bool) -> bool:
    """Whether a column is a flag, and some rows have it, or lack it."""
    kind = table[name].type()
    if not (kind.is_boolean() or kind.is_integer() or kind.is_string()):
        return False
    rows = table.select(v=flag(table[name]), w=table[name].notnull())
    facts = rows.aggregate(
        read=rows.v.notnull().sum(), all=rows.w.sum(), those=(rows.v == of).sum()
    ).execute()
    read, every, those = (int(facts[each].iloc[0] or 0) for each in ("read", "all", "those"))
    return bool(read) and read == every and those > 0


def _drop_flagged_trials(guess: TableGuess, table: ir.Table, name: str) -> None:
    """Leave out flagged rows where they were short: a flag may also say that a trial was had."""
    if not _flagged(table, name, of=True):
        return
    short = _share_of_short(guess, table, flag(table[name]).fill_null(False))
    if short is None:
        return
    if short >= MOSTLY:
        guess.keep.append((name, "is_not", True))
        guess.notes.append(f"rows that {name} calls a trial are left out (else --trials)")
    else:
        guess.notes.append(
            f"{name} marks contracts of which {1 - short:.0%} ran on, so that all of them count"
        )


def _drop_trials_by_word(guess: TableGuess, table: ir.Table, name: str) -> None:
    """Leave out rows whose plan or kind is called a trial, where they were short or free."""
    if not table[name].type().is_string():
        return
    word = table[name].strip().lower()
    called = table.select(w=word).filter(lambda t: t.w.re_search(_TRIAL_WORD)).distinct()
    words = sorted(map(str, called.limit(MOST_WORDS).execute()["w"]))
    if not words or len(words) == MOST_WORDS:
        return
    short = _share_of_short(guess, table, word.isin(words).fill_null(False))
    if short is not None and short >= MOSTLY:
        guess.keep.append((name, "not_in", words))
        guess.notes.append(f"rows whose {name} is {', '.join(words)} are left out (else --trials)")


def _share_of_short(
    guess: TableGuess, table: ir.Table, are_trials: ir.BooleanValue
) -> float | None:
    """Return how many of some rows were as short as trials are, or cost nothing as no other does.

    None where there is no start, no end or no such row, or no other one.
    """
    start, end = guess.columns.get("started_at"), guess.columns.get("ended_at")
    facts = table.aggregate(those=are_trials.sum(), others=(~are_trials).sum()).execute().iloc[0]
    if not start or not end or not facts["those"] or not facts["others"]:
        return None
    rows = first_times(table.filter(are_trials), [start, end])
    short = float(((rows[end] - rows[start]).dt.days <= LONGEST_TRIAL_DAYS).mean())
    return 1.0 if _is_free(guess, table, are_trials) else short


def _is_free(guess: TableGuess, table: ir.Table, is_flagged: ir.BooleanValue) -> bool:
    """Whether what is flagged costs nothing, and the others something: nobody ended it."""
    price = guess.columns.get("mrr")
    if not price or not table[price].type().is_numeric():
        return False
    facts = table.aggregate(
        free=table[price].max(where=is_flagged), paid=table[price].min(where=~is_flagged)
    ).execute().iloc[0]  # fmt: skip
    return bool(facts["free"] == 0 and facts["paid"] > 0)


def begin_when_paid(guess: TableGuess, table: ir.Table) -> bool:
    """Let contracts begin when they were first paid, where a later time says so and some lack it.

    Who never paid has nothing to leave, and everybody who left had paid.
    """
    start, end = guess.columns.get("started_at"), guess.columns.get("ended_at")
    called = [name for name in guess.unused if _PAID_FROM.search("_".join(words_of(name)))
              and not _NOT_FROM.search("_".join(words_of(name)))]  # fmt: skip
    paid = time_columns(table, called) if called and start and end else []
    if len(paid) != 1 or not start or not end:
        return False
    rows = first_times(table, [start, end, paid[0]])
    has_paid, both = rows[paid[0]].notna(), rows[[start, paid[0]]].dropna()
    after = (both[paid[0]] >= both[start]).mean() if len(both) else 0.0
    left = rows[rows[end].notna()]
    if has_paid.all() or not len(left) or min(after, left[paid[0]].notna().mean()) < MOSTLY:
        return False
    guess.columns["started_at"] = paid[0]
    guess.unused = [start, *(name for name in guess.unused if name != paid[0])]
    guess.keep.append((paid[0], "missing", False))
    guess.notes.append(
        f"contracts begin on {paid[0]}, and the {1 - has_paid.mean():.0%} without it were never"
        " paid and are left out (else --trials)"
    )
    return True


def make_contracts(
    guess: TableGuess,
    source: Source,
    keys: Keys,
    taken: Collection[str],
    hints: Hints,
) -> list[str]:
    """Read contracts by a query, where trials must be told apart or a price be worked out.

    Returns
    -------
    list of str
        The other tables that the query reads.
    """
    table = source.tables[guess.source]
    price: Price | None = None
    month = None if "mrr" in guess.columns else plain_month(table)
    if month is not None and month in guess.unused:
        guess.columns["mrr"] = month
        guess.unused.remove(month)
        guess.notes.append(f"{month} is called a month's amount, so it is mrr")
    if not guess.columns.get("mrr"):
        price, doubts = find_price(source, guess.source, keys, taken, hundredths=hints.hundredths)
        if price is not None and len(price.codes) > 1 and not hints.rated.issuperset(price.codes):
            if not any("several currencies" in note for note in guess.notes):
                doubts.append(
                    f"prices are in several currencies, {', '.join(price.codes)}, and are left out:"
                    f" give their rates, as in --currency {price.codes[0]} --rate"
                    f" {price.codes[1]}=1.1, and draft again"
                )
            price = None
        known = any("currencies" in note for note in [*guess.notes, *doubts])
        perhaps = may_be_amounts(table, [*guess.columns.values(), *keys.keys[guess.source]])
        if price is None and not doubts and not known and perhaps:
            doubts = [
                f"{', '.join(perhaps[:4])} may be an amount: map it as mrr if it is one of a month"
            ]
        guess.notes += doubts
    trial = None if hints.trials else _trial(source, guess, price, keys, taken)
    if price is None and trial is None:
        return []
    parts = price.parts if price is not None else ()
    if trial is not None and trial.part is not None and trial.part not in parts:
        parts = (Part("s", guess.source), trial.part)
    columns, joins = _columns_and_joins(source, parts, price, trial)
    guess.notes = [note for note in guess.notes if not _is_settled(note, price, trial)]
    where = ""
    if trial is not None:
        where, start = trial.conditions(guess, table)
        if start:
            columns.append(f"{start} AS {FROM}")
    sql = f"SELECT {', '.join(columns)} FROM {table_named(guess.source)} AS s{joins}{where}"
    read_by(guess, source, MADE, sql)
    if price is not None:
        guess.columns |= {"mrr": AMOUNT} | ({"currency": CURRENCY} if price.currency else {})
        doubt = "; whole numbers are taken for hundredths (else --no-hundredths)"
        guess.notes.append(f"mrr is {price.said}{doubt if price.is_guessed else ''}")
        off = [name for name in table.columns if "discount" in words_of(name)]
        if off and len(price.parts) > 1:
            guess.notes.append(f"{off[0]} is not taken off mrr, as nothing says how long it holds")
    if f"AS {FROM}" in sql:
        guess.columns["started_at"] = FROM
    return [part.table for part in parts[1:]]


class _Trial:
    """When a trial ends: in the contract's own row, or in an item's."""

    def __init__(self, table: str, column: str, part: Part | None) -> None:
        self.table, self.column, self.part = table, column, part

    @property
    def written(self) -> str:
        """The column, SQL."""
        return f"s.{named(self.column)}" if self.part is None else "a.trial_ends"

    def conditions(self, guess: TableGuess, table: ir.Table) -> tuple[str, str]:
        """Return which rows were paid, and from when on, both SQL."""
        end, start = guess.columns.get("ended_at"), guess.columns.get("started_at")
        where, begins = "", ""
        if end:
            kind = table[end].type()
            day = f"CAST(s.{named(end)} AS DATE) <= CAST({self.written} AS DATE)"
            if kind.is_string():
                day = f"SUBSTR(s.{named(end)}, 1, 10) <= SUBSTR({self.written}, 1, 10)"
            elif kind.is_numeric():
                day = f"s.{named(end)} <= {self.written}"
            where = f" WHERE NOT COALESCE({day}, FALSE)"
            guess.notes.append("contracts that ended with their trial are left out (else --trials)")
        if start and table[start].type().is_timestamp():
            written = f"s.{named(start)}"
            begins = f"CASE WHEN {self.written} > {written} THEN {self.written} ELSE {written} END"
        return where, begins


def _trial(
    source: Source,
    guess: TableGuess,
    price: Price | None,
    keys: Keys,
    taken: Collection[str],
) -> _Trial | None:
    """Find the column that says when a trial ends, of the same type as the contract's end."""
    end = guess.columns.get("ended_at") or guess.columns.get("started_at")
    if not end:
        return None
    kind = _kind(source.tables[guess.source], end)
    places: list[tuple[str, Part | None]] = [(guess.source, None)]
    if price is None or has_items(price.parts):
        places += [
            (each.table, Part("i", each.table, each))
            for each in keys.references
            if each.owner == guess.source and each.table not in {*taken, guess.source}
            and (price is None or each == price.parts[1].on)
        ]  # fmt: skip
    for name, part in places:
        table = source.tables[name]
        for column in table.columns:
            if not _TRIAL_END.search("_".join(words_of(column))):
                continue
            if _kind(table, column) == kind and int(table[column].count().execute()):
                return _Trial(name, column, part)
    return None


def _kind(table: ir.Table, column: str) -> str | None:
    """Return how times of a column can be compared: as times, as numbers, as texts."""
    kind = table[column].type()
    if kind.is_timestamp() or kind.is_date():
        return "time"
    if kind.is_integer():
        return "number" if is_epoch(table, column) else None
    if not kind.is_string():
        return None
    text = table.select(v=table[column].cast("string")).filter(
        lambda t: t.v.notnull() & (t.v != "")
    )
    facts = text.aggregate(all=text.count(), iso=text.v.re_search(_ISO).sum()).execute().iloc[0]
    return "text" if int(facts["all"]) and int(facts["all"]) == int(facts["iso"]) else None


def _columns_and_joins(
    source: Source, parts: tuple[Part, ...], price: Price | None, trial: _Trial | None
) -> tuple[list[str], str]:
    """Return what is selected and joined, both SQL; items are summed to one row a contract."""
    columns = ["s.*"]
    if not has_items(parts):
        if price is not None:
            columns.append(f"{price.value}{price.divisor} AS {AMOUNT}")
            columns += [f"{price.currency} AS {CURRENCY}"] if price.currency else []
        joins = "".join(f" LEFT JOIN {table_named(part.table)} AS {part.alias} ON"
                        f" {_on(part, 's', source)}" for part in parts[1:])  # fmt: skip
        return columns, joins
    item = parts[1].on
    if item is None:
        return columns, ""
    summed = [f"i.{named(item.column)} AS contract"]
    if price is not None:
        summed.append(f"SUM({price.value}) AS {AMOUNT}")
        columns.append(f"a.{AMOUNT}{price.divisor} AS {AMOUNT}")
        if price.currency and not price.currency.startswith("s."):
            summed.append(f"MAX({price.currency}) AS {CURRENCY}")
            columns.append(f"a.{CURRENCY}")
        elif price.currency:
            columns.append(f"{price.currency} AS {CURRENCY}")
    if trial is not None and trial.part is not None:
        summed.append(f"MAX(i.{named(trial.column)}) AS trial_ends")
    inner = f"{table_named(parts[1].table)} AS i" + "".join(
        f" LEFT JOIN {table_named(part.table)} AS {part.alias} ON {_on(part, 'i', source)}"
        for part in parts[2:]
    )
    query = f"SELECT {', '.join(summed)} FROM {inner} GROUP BY i.{named(item.column)}"
    kinds = [source.tables[t][c].type().is_string()
             for t, c in ((item.table, item.column), (item.owner, item.key))]  # fmt: skip
    left, right = "a.contract", f"s.{named(item.key)}"
    if kinds[0] != kinds[1]:
        left, right = f"CAST({left} AS TEXT)", f"CAST({right} AS TEXT)"
    return columns, f" LEFT JOIN ({query}) AS a ON {left} = {right}"


def _on(part: Part, before: str, source: Source) -> str:
    found = part.on
    if found is None:
        return "TRUE"
    points, owns = (before, part.alias) if part.alias == "p" else (part.alias, before)
    return same_text(source, (points, found.table, found.column), (owns, found.owner, found.key))


def _is_settled(note: str, price: Price | None, trial: _Trial | None) -> bool:
    """Whether a note names what the query does by itself."""
    if trial is not None and "says when a trial ends" in note:
        return True
    return price is not None and ("holds hundredths" in note)
