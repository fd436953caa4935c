"""The closed set of verbs a pack may use, compiled to Ibis so that every engine agrees.

An expression is written as in Python and never run as Python: it is taken apart, and only names of
columns, constants, comparisons, arithmetic and the verbs below are known.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import ibis
import ibis.expr.types as ir

from features.errors import DataError, SettingsError, nearest, sample
from features.packs.values import (
    WHOLE_UNITS,
    flag,
    json_field,
    months,
    number,
    text_of,
    time,
    words_of,
)
from features.sources.files.domains import clean_domain
from features.sources.files.plain_forms import without_missing_words

EXTERNAL_NAMES: tuple[str, ...] = (
    "external_id", "tenant_id", "account_id", "workspace_id", "organization_id", "org_id",
    "company_id", "customer_id",
)  # fmt: skip


def plain(name: str) -> str:
    """Return a name without case, blanks and signs: "Created (UTC)" is ``created_utc``.

    Examples
    --------
    >>> plain("Created (UTC)") == plain("created_utc")
    True
    """
    return re.sub(r"[^a-z0-9]", "", name.lower())


@dataclass(frozen=True)
class Scope:
    """What an expression may name.

    Parameters
    ----------
    table : ibis table
        Whose columns are meant.
    place : str
        Where the expression stands, for messages.
    source_name : str
        The table's name, for messages.
    today_only : collection of str
        Plain names of columns that are overwritten in place, which may not be read here.
    words : mapping of str to mapping of str to str
        Lists of a vendor's words and ours.
    currency : str
        What amounts are converted to.
    rates : mapping of str to float
        What one unit of another currency is worth in it.
    external : tuple of str
        Names under which the key of another system is kept.
    trials : bool
        Whether trials count as contracts.
    """

    table: ir.Table
    place: str
    source_name: str
    today_only: frozenset[str] = frozenset()
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    currency: str = ""
    rates: Mapping[str, float] = field(default_factory=dict)
    external: tuple[str, ...] = EXTERNAL_NAMES
    trials: bool = False

    def origin(self, name: str) -> str | None:
        """Return the table's own spelling of a column, None where it has no such column."""
        return {plain(each): each for each in reversed(self.table.columns)}.get(plain(name))

    def column(self, name: str) -> ir.Value:
        """Return a column.

        Raises
        ------
        DataError
            When the table has none of that name, or it says what is so today only.
        """
        origin = self.origin(name)
        if origin is None:
            hint = nearest(name, self.table.columns) or f"; it has {sample(self.table.columns, 8)}"
            raise DataError(
                f"Table '{self.source_name}' has no column '{name[:60]}', which {self.place} reads:"
                f" the vendor's layout has changed, or it is another table{hint}"
            )
        if plain(name) in self.today_only:
            raise SettingsError(
                f"{self.place} reads '{name[:60]}', which says what is so today and is no value of"
                " the past; take another column, or leave it out"
            )
        return self.table[origin]


def parsed(text: str, place: str) -> ast.expr:
    """Take an expression apart.

    Raises
    ------
    SettingsError
        When it is none.
    """
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SettingsError(
            f"{place}: {sample([text])} is no expression of columns, constants and verbs; correct"
            " it"
        ) from error


def names_in(text: str, place: str) -> list[str]:
    """List the columns an expression reads; ``plan.amount`` is one of a joined table."""
    tree = parsed(text, place)
    verbs = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    inner = {node.value for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names.append(f"{node.value.id}.{node.attr}")
        elif isinstance(node, ast.Name) and node not in verbs and node not in inner:
            names.append(node.id)
    return names


def compiled(text: str, scope: Scope) -> ir.Value:
    """Return the Ibis expression of a text.

    Raises
    ------
    SettingsError
        When it uses what is no verb.
    DataError
        When a column is missing.

    Examples
    --------
    >>> rows = ibis.table({"amount": "int64", "currency": "string"}, name="charge")
    >>> scope = Scope(rows, "pack 'stripe'", "charge", currency="usd")
    >>> compiled("money(amount, currency)", scope).type().is_floating()
    True
    """
    return _value(parsed(text, scope.place), scope, text)


def condition(text: str, scope: Scope) -> ir.BooleanValue:
    """Return an expression as true or false; what is missing is false."""
    return flag(compiled(text, scope)).fill_null(False)


def _value(node: ast.expr, scope: Scope, text: str) -> Any:
    match node:
        case ast.Constant(value=None):
            return ibis.null("string")
        case ast.Constant(value=str() | int() | float() as constant):
            return ibis.literal(constant)
        case ast.Name(id=name):
            return scope.column(name)
        case ast.Attribute(value=ast.Name(id=table), attr=name):
            return scope.column(joined_name(table, name))
        case ast.BoolOp(op=op, values=values):
            parts = [flag(_value(each, scope, text)) for each in values]
            both = (lambda a, b: a & b) if isinstance(op, ast.And) else (lambda a, b: a | b)
            return _folded(parts, both)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return ~flag(_value(operand, scope, text)).fill_null(False)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, scope, text)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            a, b = (number(_value(each, scope, text)) for each in (left, right))
            return _ARITHMETIC[type(op)](a, b)
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _compared(left, op, right, scope, text)
        case ast.Call(func=ast.Name(id=verb), args=arguments, keywords=[]):
            return _called(verb, arguments, scope, text)
    raise SettingsError(
        f"{scope.place}: {sample([text])} holds what no pack may: known are columns, constants,"
        f" comparisons, arithmetic and the verbs {', '.join(sorted(_ALL_VERBS))}"
    )


def _folded(parts: list[Any], step: Callable[[Any, Any], Any]) -> Any:
    whole = parts[0]
    for part in parts[1:]:
        whole = step(whole, part)
    return whole


_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}


def _compared(left: ast.expr, op: ast.cmpop, right: ast.expr, scope: Scope, text: str) -> Any:
    value = _value(left, scope, text)
    if isinstance(right, ast.Constant) and right.value is None:
        absent = without_missing_words(value.cast("string")).isnull()
        return absent if isinstance(op, ast.Is | ast.Eq) else ~absent
    if isinstance(op, ast.In | ast.NotIn) and isinstance(right, ast.Tuple):
        words = [str(getattr(each, "value", "")).lower() for each in right.elts]
        among = words_of(value).isin(words).fill_null(False)
        return among if isinstance(op, ast.In) else ~among
    if isinstance(right, ast.Constant) and isinstance(right.value, str):
        same = (words_of(value) == right.value.lower()).fill_null(False)
        return ~same if isinstance(op, ast.NotEq) else same
    other = _value(right, scope, text)
    if isinstance(right, ast.Constant):
        value = number(value)
    match op:
        case ast.Eq():
            return value == other
        case ast.NotEq():
            return value != other
        case ast.Lt():
            return value < other
        case ast.LtE():
            return value <= other
        case ast.Gt():
            return value > other
        case ast.GtE():
            return value >= other
    raise SettingsError(
        f"{scope.place}: {sample([text])} compares in a way no pack may; correct it"
    )


def joined_name(table: str, column: str) -> str:
    """Name a column of a joined table."""
    return f"{table}__{column}"


def money(scope: Scope, amount: ir.Value, currency: ir.Value, *, is_minor: bool) -> ir.Value:
    """Return an amount in the one currency of the configuration; without a rate it is missing."""
    if not scope.currency:
        raise SettingsError(
            f"{scope.place} reads amounts, and no currency is named; set currency, such as"
            ' currency = "usd", under its [source.NAME]'
        )
    code = words_of(currency)
    units = number(amount).cast("float64")
    if is_minor:
        units = ibis.ifelse(code.isin(WHOLE_UNITS), units, units / 100.0)
    known = {scope.currency.lower(): 1.0} | {k.lower(): v for k, v in scope.rates.items()}
    rate = code.cases(*known.items())
    return units * rate


def _translated(scope: Scope, value: ir.Value, name: str) -> ir.StringValue:
    if name not in scope.words:
        raise SettingsError(f"{scope.place} names a list of words '{name[:60]}' that is not there")
    bare = words_of(value)
    listed = [(theirs.lower(), ours) for theirs, ours in scope.words[name].items()]
    return bare.cases(*listed, else_=bare) if listed else bare


def _maybe(scope: Scope, names: Iterable[str]) -> ir.Value:
    for name in names:
        if scope.origin(name) is not None:
            return scope.column(name)
    return ibis.null("string")


def _external(scope: Scope, holder: ir.Value | None) -> ir.StringValue:
    """Return the other system's key: of a JSON object, else of a column of one of the names."""
    if holder is not None:
        return json_field(holder, *scope.external)
    shapes = [f"{before}{name}{after}" for name in scope.external for before in ("", "property_")
              for after in ("", "_c", "__c")]  # fmt: skip
    return text_of(_maybe(scope, shapes))


_VERBS: dict[str, Callable[..., Any]] = {
    "time": time,
    "number": number,
    "text": text_of,
    "lower": words_of,
    "flag": flag,
    "domain": lambda value: clean_domain(text_of(value)),
    "months": months,
    "when": lambda test, yes, no: ibis.ifelse(flag(test).fill_null(False), yes, no),
    "concat": lambda *parts: _folded([text_of(part) for part in parts], lambda a, b: a + b),
    "month_after": lambda moment: time(moment) + ibis.interval(months=1),
    "hours": lambda later, earlier: time(later).delta(time(earlier), unit="second") / 3600.0,
    "earliest": lambda *times: ibis.least(*[time(each) for each in times]),
    "sum": lambda value: number(value).sum(),
    "min": lambda value: value.min(),
    "max": lambda value: value.max(),
    "count": lambda value: value.count(),
    "any": lambda value: flag(value).any(),
    "next": lambda value, group, order: value.min().over(
        ibis.window(group_by=group, order_by=order, preceding=0, following=None)
    ),
    "overall_max": lambda value: value.max().over(ibis.window()),
}
# Of these the arguments are names or lists, or what stands for them depends on the table.
_NAMED = {"first", "maybe", "json", "words", "money", "amount", "external", "trial", "paid_from"}
_ALL_VERBS = {*_VERBS, *_NAMED}


def _called(verb: str, arguments: list[ast.expr], scope: Scope, text: str) -> Any:
    literals = [each.value for each in arguments if isinstance(each, ast.Constant)]
    if verb == "maybe":
        return _maybe(scope, [_named(each) for each in arguments])
    values = [_value(each, scope, text) for each in arguments]
    if verb not in _ALL_VERBS:
        hint = nearest(verb, _ALL_VERBS) or f"; known are {', '.join(sorted(_ALL_VERBS))}"
        raise SettingsError(f"{scope.place}: '{verb[:60]}' is no verb of packs{hint}")
    try:
        match verb:
            case "first":
                kinds = {value.type().is_string() for value in values}
                return ibis.coalesce(*(values if len(kinds) == 1 else map(text_of, values)))
            case "json":
                return json_field(values[0], *map(str, literals))
            case "words":
                return _translated(scope, values[0], str(literals[-1]))
            case "money" | "amount":
                return money(scope, values[0], values[1], is_minor=verb == "money")
            case "trial":
                # Whether a row is a trial and no contract: never where trials count.
                return ibis.literal(False) if scope.trials else flag(values[0]).fill_null(False)
            case "paid_from":
                # Those who leave in their trial are no customers, so that nobody is one during it.
                start, end = (time(each) for each in values)
                return start if scope.trials else ibis.greatest(start, end.fill_null(start))
            case "external":
                return _external(scope, values[0] if values else None)
        return _VERBS[verb](*values)
    except (TypeError, IndexError, AttributeError) as error:
        raise SettingsError(
            f"{scope.place}: {sample([text])} calls '{verb}' with what it does not take; see the"
            " list of verbs"
        ) from error


def _named(node: ast.expr) -> str:
    """Return the name of a column, of a joined table or not."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return joined_name(node.value.id, node.attr)
    return node.id if isinstance(node, ast.Name) else str(getattr(node, "value", ""))
