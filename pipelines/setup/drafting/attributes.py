"""Which columns of the accounts describe one, and which tell of today or of how it ended."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from features.build import KEYS, every_signal
from features.builders.owners import names_owner
from features.catalog import signal_name
from pipelines.setup.guessing.evidence import MOST_COLUMNS
from pipelines.setup.guessing.names import (
    COUNTED_WORDS,
    MUTABLE_WORDS,
    OUTCOME_WORDS,
    SENSITIVE_WORDS,
)
from pipelines.setup.guessing.sql import base_of, named, read_by
from pipelines.setup.guessing.words import plain, words_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.sources.source import Source
    from pipelines.setup.guessing.columns import TableGuess

MOST_LEVELS = 50
_NAMELESS = re.compile(r"column\d+")


@cache
def taken_names() -> frozenset[str]:
    """Return the columns that the feature table may have whatever the attributes are."""
    # An account's plan is taken for that of its contracts.
    return frozenset({"segment", *KEYS, *(signal.name for signal in every_signal())}) - {"plan"}


def attributes_of(guess: TableGuess, table: ir.Table) -> tuple[list[str], list[str], list[str]]:
    """Sort left-over account columns into attributes, sensitive ones, and those left out."""
    attributes: list[str] = []
    sensitive: list[str] = []
    left: list[str] = []
    if len(table.columns) > MOST_COLUMNS:
        sensitive = [name for name in guess.unused if SENSITIVE_WORDS.search(_parted(name))]
        guess.notes.append(
            f"it has {len(table.columns):,} columns: list those that describe an account under"
            " attributes"
        )
        return list(sensitive), sensitive, []
    stamps = [name for name in guess.unused if MUTABLE_WORDS.search(_parted(name))]
    of_today = re.compile(f"{OUTCOME_WORDS.pattern}|{COUNTED_WORDS.pattern}", re.I)
    for origin in guess.unused:
        words = _parted(origin)
        if origin in stamps or plain(origin) == "id":
            left.append(origin)
        elif SENSITIVE_WORDS.search(words):
            attributes.append(origin)
            sensitive.append(origin)
        elif names_owner(origin) or of_today.search(words) or not _describes(table, origin):
            left.append(origin)
        else:
            attributes.append(origin)
    if stamps:
        # What is overwritten says what is so today; a person knows which of it never changes.
        left += [name for name in attributes if name not in sensitive]
        attributes = list(sensitive)
    return attributes, sensitive, left


def owner_among(names: Sequence[str]) -> str | None:
    """Choose the column that says who looks after an account: of customer success, by name.

    Examples
    --------
    >>> owner_among(["Owner ID", "Owner Name", "notes"])
    'Owner Name'
    >>> owner_among(["sales_rep", "csm_id"])
    'csm_id'
    """
    owners = [name for name in names if names_owner(name)]
    sold, coded = re.compile("sales"), re.compile("(id|email)$")
    return min(
        owners,
        key=lambda name: (
            bool(sold.search(signal_name(name))),
            "csm" not in signal_name(name) and "success" not in signal_name(name),
            bool(coded.search(signal_name(name))),
        ),
        default=None,
    )


def name_apart(guess: TableGuess, source: Source) -> None:
    """Read accounts through a view where a column is called as one of the feature table.

    No signal may be called so; a person would have to write that view to train at all.
    """
    taken = [name for name in guess.unused if signal_name(name) in taken_names()
             and not OUTCOME_WORDS.search(_parted(name))]  # fmt: skip
    if not taken or guess.view is not None or source.about(guess.source).today_only:
        guess.unused = [name for name in guess.unused if name not in taken]
        return
    fresh = {name: f"account_{signal_name(name)}" for name in taken}
    columns = ", ".join(f"s.{named(name)} AS {named(other)}" for name, other in fresh.items())
    sql = f"SELECT s.*, {columns} FROM {base_of(guess)} AS s"
    read_by(guess, source, "accounts_named", sql)
    guess.unused = [fresh.get(name, name) for name in guess.unused]
    listed = ", ".join(f"{name} is read as {other}" for name, other in fresh.items())
    guess.notes.append(f"{listed}, as the feature table has a column of that name")


def common_features(guess: TableGuess, table: ir.Table, most: int = 8) -> list[str]:
    """List the most used product features, if the table names them."""
    if "feature" not in guess.columns:
        return []
    feature = table[guess.columns["feature"]].cast("string")
    counted = table.select(feature=feature).group_by("feature").aggregate(n=lambda t: t.count())
    top = counted.filter(counted.feature.notnull()).order_by(counted.n.desc(), counted.feature)
    names = [str(name) for name in top.limit(most).execute()["feature"]]
    return [name for name in names if len(name) <= 60]


def _describes(table: ir.Table, origin: str) -> bool:
    """Whether a column is a number or a category rather than free text, a flag or a date."""
    kind = table[origin].type()
    if kind.is_string():
        facts = table.aggregate(n=table[origin].nunique(), first=table[origin].min()).execute()
        levels, first = int(facts["n"].iloc[0]), facts["first"].iloc[0]
        # Space between the columns of a sheet, or an object whose fields are columns.
        if (not levels and _NAMELESS.fullmatch(origin)) or _is_object(str(first)):
            return False
        return levels <= MOST_LEVELS
    return bool(kind.is_numeric() and not kind.is_boolean())


def _is_object(text: str) -> bool:
    """Whether a text is an object or a list in JSON."""
    try:
        return isinstance(json.loads(text), dict | list)
    except ValueError:
        return False


def _parted(name: str) -> str:
    return "_".join(words_of(name))
