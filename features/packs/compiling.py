"""From a pack and a vendor's tables to contract tables, as Ibis expressions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce

import ibis
import ibis.expr.types as ir

from features.errors import SettingsError
from features.packs.pack import HANDLES, OWNER, Join, Pack, Step
from features.packs.values import text_of, words_of
from features.packs.verbs import (
    EXTERNAL_NAMES,
    Scope,
    compiled,
    condition,
    joined_name,
    names_in,
    plain,
)

AGGREGATES = ("sum(", "min(", "max(", "count(", "any(")


@dataclass
class Compiler:
    """What a pack says, over the tables of one company.

    Parameters
    ----------
    pack : Pack
        The layout.
    inputs : dict of str to ibis table
        The vendor's tables by input; an optional one may be missing.
    section : str
        The section of the configuration, for messages.
    currency, rates
        What amounts are converted to, and from other currencies at what rate.
    external : str or None
        The name under which the vendor keeps the key of another system.
    trials : bool
        Whether trials count as contracts.
    """

    pack: Pack
    inputs: Mapping[str, ir.Table]
    section: str
    currency: str = ""
    rates: Mapping[str, float] = field(default_factory=dict)
    external: str | None = None
    trials: bool = False
    left_out: dict[str, list[tuple[str, ir.Table]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._made: dict[str, ir.Table] = dict(self.inputs)
        today = {name: each.today_only for name, each in self.pack.inputs.items()}
        self._today = {name: frozenset(map(plain, columns)) for name, columns in today.items()}
        for name, step in self.pack.steps.items():
            if self._can_be_made(step):
                self._made[name] = self._table(step, f"[steps.{name}]", name)

    def tables(self) -> dict[str, ir.Table]:
        """Return the contract tables whose inputs are there."""
        return {
            name: self._table(step, f"[tables.{name}]", name)
            for name, step in self.pack.tables.items()
            if self._can_be_made(step)
        }

    def handles(self) -> ir.Table | None:
        """Return ``key``, ``rule`` and ``value`` of every way a key may be known elsewhere."""
        parts = []
        for number, step in enumerate(self.pack.handles, start=1):
            if not self._can_be_made(step):
                continue
            rows = self._table(step, f"[[handles]] {number}", "handles")
            for rule in [name for name in HANDLES if name in rows.columns]:
                value = text_of(rows[rule])
                # Keys of another system are as they are written; names and domains have no case.
                value = value if rule == "external_id" else words_of(value)
                part = rows.select(key=rows.account_id, rule=ibis.literal(rule), value=value)
                parts.append(part.filter(part.key.notnull() & part.value.notnull()))
        return reduce(lambda a, b: a.union(b), parts).distinct() if parts else None

    def _can_be_made(self, step: Step) -> bool:
        """Whether its first table is there: a joined or further one may be missing."""
        return step.source in self._made or any(name in self._made for name in step.union)

    def _table(self, step: Step, place: str, output: str) -> ir.Table:
        names = [name for name in (step.source, *step.union) if name in self._made]
        parts = [self._one(step.model_copy(update={"source": name, "union": ()}), place, output)
                 for name in names]  # fmt: skip
        return parts[0] if len(parts) == 1 else reduce(lambda a, b: a.union(b), parts)

    def _one(self, step: Step, place: str, output: str) -> ir.Table:
        table, today = self._joined(step, place)
        scope = Scope(
            table,
            f"Pack '{self.pack.name}' {place}",
            step.source,
            words=self.pack.words,
            currency=self.currency,
            rates=self.rates,
            external=(self.external,) if self.external else EXTERNAL_NAMES,
            trials=self.trials,
        )
        for text in step.keep:
            holds = condition(text, replace(scope, table=table))
            self.left_out.setdefault(output, []).append((text, table.filter(~holds)))
            table = table.filter(holds)
        scope = replace(scope, table=table)
        if step.by and step.newest is not None:
            table = _newest(table, step, scope)
            scope = replace(scope, table=table)
        # Keys, owners and handles are of today; every other value must have been so in the past.
        strict = replace(scope, today_only=today)
        free = ("account_id", OWNER, *(HANDLES if output == "handles" else ()))
        columns = {
            name: self._typed(name, compiled(text, scope if name in free else strict))
            for name, text in step.columns.items()
        }
        if step.by and step.newest is None:
            keys = {name: value for name, value in columns.items() if name in step.by}
            rest = {name: value for name, value in columns.items() if name not in keys}
            self._refuse_single(step, rest, place)
            return table.group_by(**keys).aggregate(**rest)
        return table.select(**columns) if columns else table

    def _refuse_single(self, step: Step, rest: Mapping[str, ir.Value], place: str) -> None:
        for name in rest:
            if not any(verb in step.columns[name] for verb in AGGREGATES):
                raise SettingsError(
                    f"Pack '{self.pack.name}' {place} groups its rows, and {name} is one value of"
                    " many; write sum, min, max, count or any around it"
                )

    def _typed(self, name: str, value: ir.Value) -> ir.Value:
        if name == "account_id":
            return text_of(value)
        return value.cast("string") if value.type().is_null() else value

    def _joined(self, step: Step, place: str) -> tuple[ir.Table, frozenset[str]]:
        """Put the columns of joined tables beside a table's, each under ``alias__column``."""
        table = self._made[step.source]
        today = self._today.get(step.source, frozenset())
        texts = [text for text in step.expressions() if text]
        named = {name for text in texts for name in names_in(text, place) if "." in name}
        for alias, join in step.join.items():
            wanted = sorted(name.partition(".")[2] for name in named if name.split(".")[0] == alias)
            other = self._made.get(join.table)
            if other is None:
                # Without the table nothing is known of it, and the rest goes on.
                table = table.mutate(
                    **{joined_name(alias, name): ibis.null("string") for name in wanted}
                )
                continue
            today |= {plain(joined_name(alias, n)) for n in self._today.get(join.table, ())}
            table = self._with(table, other, alias, join, wanted, place)
        return table, today

    def _with(
        self,
        table: ir.Table,
        other: ir.Table,
        alias: str,
        join: Join,
        wanted: list[str],
        place: str,
    ) -> ir.Table:
        where = f"Pack '{self.pack.name}' {place} join {alias}"
        right = Scope(other, where, join.table)
        keys = {f"__{alias}_{n}": text_of(right.column(key)) for n, key in enumerate(join.on)}
        columns = {joined_name(alias, name): right.column(name)
                   for name in wanted if right.origin(name) is not None}  # fmt: skip
        order = compiled(join.newest, right) if join.newest is not None else None
        ranked = other.select(**keys, **columns, **({} if order is None else {"__order": order}))
        # One row for a key, or the rows they are joined to would be doubled.
        by = [ibis.desc("__order")] if order is not None else []
        place_of = ibis.row_number().over(
            ibis.window(group_by=list(keys), order_by=[*by, *columns])
        )
        single = ranked.mutate(__place=place_of)
        single = single.filter(single["__place"] == 0).select(*keys, *columns)
        left = Scope(table, where, "its rows")
        pairs = [
            (f"__left_{alias}_{n}", text_of(compiled(text, left)))
            for n, text in enumerate(join.on.values())
        ]
        table = table.mutate(**dict(pairs))
        predicates = [table[mine] == single[theirs]
                      for (mine, _), theirs in zip(pairs, keys, strict=True)]  # fmt: skip
        joined = table.left_join(single, predicates)
        return joined.drop(*(name for name, _ in pairs), *keys)


def _newest(table: ir.Table, step: Step, scope: Scope) -> ir.Table:
    assert step.newest is not None
    order = [ibis.desc(compiled(step.newest, scope), nulls_first=False)]
    by = [compiled(text, scope) for text in step.by]
    place = ibis.row_number().over(ibis.window(group_by=by, order_by=order))
    ranked = table.mutate(__place=place)
    return ranked.filter(ranked["__place"] == 0).drop("__place")
