"""Which rows of a table count: a closed set of conditions, the same on every engine."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Self

import ibis
import ibis.expr.types as ir
from pydantic import Field, model_validator

from features.errors import DataError, nearest, sample
from features.sources.files.domains import clean_domain
from features.sources.files.plain_forms import without_missing_words
from features.sources.source import same_name
from features.tables.mapping.frozen import Frozen
from features.tables.mapping.written import FALSE_WORDS, TRUE_WORDS, written_number, written_time

Plain = bool | int | float | str
TESTS = ("is", "is_not", "in", "not_in", "at_least", "at_most", "missing")


class Condition(Frozen):
    """One entry of ``keep``: a column of the source and one test of its values.

    Texts are compared whatever their case and the blanks around them. A row without a value fails
    every test but ``is_not``, ``not_in`` and ``missing``.

    Parameters
    ----------
    column : str
        A column of the source table, mapped or not.
    equals, differs : bool, number or str, optional
        In TOML: ``is`` and ``is_not``.
    among, outside : list, optional
        In TOML: ``in`` and ``not_in``.
    at_least, at_most : number or date, optional
        Bounds; a date counts from its midnight.
    missing : bool, optional
        Whether a value must be missing, or must not be.
    """

    column: str
    equals: Annotated[Plain | None, Field(alias="is")] = None
    differs: Annotated[Plain | None, Field(alias="is_not")] = None
    among: Annotated[tuple[Plain, ...] | None, Field(alias="in")] = None
    outside: Annotated[tuple[Plain, ...] | None, Field(alias="not_in")] = None
    at_least: float | date | datetime | None = None
    at_most: float | date | datetime | None = None
    missing: bool | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        tests = self.model_fields_set - {"column"}
        if len(tests) != 1:
            raise ValueError(
                f"each entry of keep needs one test of {sample([self.column])}, one of"
                f" {', '.join(TESTS)}, and has {len(tests)}; write one entry per test"
            )
        return self

    def __str__(self) -> str:
        tests = self.model_dump(by_alias=True, exclude={"column"}, exclude_none=True)
        (test, value), *_ = tests.items()
        values = value if isinstance(value, tuple | list) else [value]
        return f"{self.column[:60]} {test.replace('_', ' ')} {sample(values, 6)}"

    def holds(self, table: ir.Table, source_name: str, section: str) -> ir.BooleanValue:
        """Return whether each row of a source table passes.

        Raises
        ------
        DataError
            When the table has no such column.
        """
        origin = same_name(self.column, table.columns)
        if origin is None:
            hint = nearest(self.column, table.columns) or f"; it has {sample(table.columns, 8)}"
            raise DataError(
                f"Table '{source_name}' has no column '{self.column[:60]}', named in [{section}]"
                f" keep{hint}"
            )
        value = table[origin]
        if self.missing is not None:
            absent = _text(value).isnull()
            return absent if self.missing else ~absent
        if self.at_least is not None:
            return _bounded(value, self.at_least, is_least=True)
        if self.at_most is not None:
            return _bounded(value, self.at_most, is_least=False)
        wanted = [self.equals] if self.equals is not None else list(self.among or ())
        if wanted:
            return _any_equal(value, wanted)
        refused = [self.differs] if self.differs is not None else list(self.outside or ())
        return ~_any_equal(value, refused)


def kept_rows(
    table: ir.Table, conditions: tuple[Condition, ...], source_name: str, section: str
) -> tuple[ir.Table, dict[str, ir.Table]]:
    """Return the rows that pass every condition, and per condition the rows it leaves out."""
    left_out: dict[str, ir.Table] = {}
    for condition in conditions:
        holds = condition.holds(table, source_name, section)
        left_out[f"rows are left out by keep: {condition}"] = table.filter(~holds)
        table = table.filter(holds)
    return table, left_out


def without_listed(
    table: ir.Table, listed: tuple[str, ...], key: str, name: str | None
) -> tuple[ir.Table, dict[str, ir.Table]]:
    """Leave out accounts whose id, name or domain is listed, and tell of each entry which rows.

    Parameters
    ----------
    table : ibis table
        The accounts' source.
    listed : tuple of str
        What a person wants left out.
    key, name : str
        Columns of the id and, if there is one, the name.
    """
    domains = [each for each in table.columns if _plain(each) in DOMAIN_NAMES]
    left_out: dict[str, ir.Table] = {}
    for entry in listed:
        bare = entry.strip().lower()
        tests = [_text(table[each]) == bare for each in (key, name) if each is not None]
        tests += [clean_domain(table[each].cast("string")) == bare for each in domains]
        is_listed = ibis.or_(*(test.fill_null(False) for test in tests))
        left_out[f"rows are left out by leave_out: {sample([entry])}"] = table.filter(is_listed)
        table = table.filter(~is_listed)
    return table, left_out


DOMAIN_NAMES = ("domain", "emaildomain", "website", "companydomain", "url", "email")
"""Columns that tell an account's domain, in plain letters."""


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def _text(value: ir.Value) -> ir.StringValue:
    return without_missing_words(value.cast("string")).strip().lower()


def _any_equal(value: ir.Value, wanted: list[Plain]) -> ir.BooleanValue:
    words: set[str] = set()
    numbers: list[float] = []
    for each in wanted:
        if isinstance(each, bool):
            words |= set(TRUE_WORDS if each else FALSE_WORDS)
        elif isinstance(each, str):
            words.add(each.strip().lower())
        else:
            numbers.append(float(each))
    equal = _text(value).isin(sorted(words)) if words else ibis.literal(False)
    if numbers:
        equal = equal.fill_null(False) | _number(value).isin(numbers).fill_null(False)
    return equal.fill_null(False)


def _number(value: ir.Value) -> ir.FloatingValue:
    return written_number(value) if value.type().is_string() else value.cast("float64")


def _bounded(value: ir.Value, bound: float | date | datetime, *, is_least: bool) -> ir.BooleanValue:
    if isinstance(bound, date):
        at = bound if isinstance(bound, datetime) else datetime(bound.year, bound.month, bound.day)
        value = written_time(value) if value.type().is_string() else value.cast("timestamp")
        bound = ibis.timestamp(at.replace(tzinfo=None))
    else:
        value = _number(value)
    passes = value >= bound if is_least else value <= bound
    return passes.fill_null(False)
