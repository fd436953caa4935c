"""A pack: one vendor's layout, declared as data, and what it gives the contract."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

import pydantic
from pydantic import Field, model_validator

from features.errors import SettingsError, nearest, sample
from features.packs.verbs import names_in, plain
from features.tables.mapping.contract import CONTRACT
from features.tables.mapping.frozen import Frozen

LAYOUTS = Path(__file__).parent / "layouts"
Kind = Literal["billing", "crm", "support", "product", "survey"]
HANDLES = ("external_id", "domain", "name")
OWNER = "owner"
"""Column of a vendor's accounts that says who looks after one today; no input."""


class Input(Frozen):
    """A table of the vendor's that a pack reads.

    Parameters
    ----------
    names : tuple of str
        What it is called, whatever stands before it and whatever its case.
    has, has_not : tuple of str
        Columns that it must have to be recognised, each as ``one|other``; and must not have.
    today_only : tuple of str
        Columns that are overwritten in place: no value of the past is read from them.
    optional : bool
        Whether the pack also serves where it is not there.
    """

    names: tuple[str, ...]
    has: tuple[str, ...]
    has_not: tuple[str, ...] = ()
    today_only: tuple[str, ...] = ()
    optional: bool = False

    def lacks(self, columns: tuple[str, ...]) -> list[str]:
        """List the columns that tell it from other tables and are not there, or must not be."""
        known = {plain(column) for column in columns}
        gone = [name for name in self.has if not any(plain(n) in known for n in name.split("|"))]
        return gone + [f"no {name}" for name in self.has_not if plain(name) in known]


class Join(Frozen):
    """A table whose columns are read beside another's: at most one row for each of its rows.

    Parameters
    ----------
    table : str
        An input or a step.
    on : dict of str to str
        Column of ``table`` to an expression over the rows it is joined to.
    newest : str or None
        Expression over ``table``: of several rows with one key the one with the most of it.
    """

    table: str
    on: Annotated[dict[str, str], Field(min_length=1)]
    newest: str | None = None


class Step(Frozen):
    """How a table is made: joined, then filtered, then grouped or its newest rows taken.

    Parameters
    ----------
    source : str
        An input or an earlier step (in TOML: ``from``).
    union : tuple of str
        Further ones, whose rows are put below; columns that only one has are missing in the others.
    join : dict of str to Join
        Names under which columns of other tables are read: ``plan.amount``.
    keep : tuple of str
        Conditions that all must hold.
    by : tuple of str
        Columns to group by; the others are then sums, counts and the like.
    newest : str or None
        With ``by``, an expression: the row with the most of it stands for its group.
    columns : dict of str to str
        Column to expression; with none, all columns of ``from``.
    """

    source: Annotated[str, Field(alias="from")]
    union: tuple[str, ...] = ()
    join: dict[str, Join] = Field(default_factory=dict)
    keep: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    newest: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)

    def sources(self) -> list[str]:
        """List the tables it is made from."""
        return [self.source, *self.union, *(join.table for join in self.join.values())]

    def expressions(self) -> list[str]:
        """List its expressions over its rows."""
        joins = [text for join in self.join.values() for text in join.on.values()]
        return [*self.keep, *self.by, *filter(None, [self.newest]), *self.columns.values(), *joins]


class Pack(Frozen):
    """One layout of one vendor.

    Parameters
    ----------
    name, title, vendor : str
        As in ``pack = "stripe-fivetran"``; in words; and whose exports they are.
    kind : {"billing", "crm", "support", "product", "survey"}
        What the vendor is for: who is asked first for a table that several fill.
    inputs : dict of str to Input
        The vendor's tables.
    words : dict of str to dict of str to str
        Lists of the vendor's words and ours.
    steps : dict of str to Step
        Tables on the way, in order.
    tables : dict of str to Step
        Contract tables; ``account_id`` is the vendor's own key, which identity turns into the
        account's.
    handles : tuple of Step
        How the vendor's keys may be known elsewhere: ``account_id`` and one or more of
        ``external_id``, ``domain``, ``name``.
    attributes : tuple of str
        Columns of its accounts that never change, which describe an account.
    beside : tuple of str
        Tables of the vendor's that are not read, and are nobody else's.
    """

    name: str
    title: str
    vendor: str
    kind: Kind
    inputs: dict[str, Input]
    words: dict[str, dict[str, str]] = Field(default_factory=dict)
    steps: dict[str, Step] = Field(default_factory=dict)
    tables: dict[str, Step]
    handles: tuple[Step, ...] = ()
    attributes: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        known = list(self.inputs)
        for place, step in self.places():
            for name in step.sources():
                if name not in known:
                    raise ValueError(
                        f"{place} reads the table {name[:60]!r}, which is no input and no earlier"
                        f" step{nearest(name, known)}"
                    )
            if place.startswith("[steps."):
                known.append(place[7:-1])
        for name, step in self.tables.items():
            self._refuse_strangers(name, step)
        return self

    def _refuse_strangers(self, name: str, step: Step) -> None:
        if name not in CONTRACT:
            raise ValueError(f"[tables] has no table {name[:60]!r}{nearest(name, CONTRACT)}")
        known = [column.name for column in CONTRACT[name].all_columns()]
        known += (*self.attributes, OWNER) if name == "accounts" else ()
        filled: dict[str, str] = {}
        for column, text in step.columns.items():
            if column not in known:
                hint = nearest(column, known) or f"; known are {', '.join(known)}"
                raise ValueError(f"[tables.{name}] has no column {column[:60]!r}{hint}")
            bare = names_in(text, f"[tables.{name}] {column}")
            if bare != [text.strip()]:
                continue
            if text in filled:
                raise ValueError(
                    f"[tables.{name}] maps the column {text[:60]!r} twice, to {filled[text]} and to"
                    f" {column}; one column fills one role: take one of them out"
                )
            filled[text] = column

    def places(self) -> list[tuple[str, Step]]:
        """List every step with its place in the file."""
        steps = [(f"[steps.{name}]", step) for name, step in self.steps.items()]
        tables = [(f"[tables.{name}]", step) for name, step in self.tables.items()]
        return [*steps, *tables, *((f"[[handles]] {n + 1}", h) for n, h in enumerate(self.handles))]

    @property
    def reads_money(self) -> bool:
        """Whether amounts have currencies."""
        texts = [text for _, step in self.places() for text in step.expressions()]
        return any(verb in text for text in texts for verb in ("money(", "amount("))


def read_pack(file: Path) -> Pack:
    """Read a pack.

    Raises
    ------
    SettingsError
        When the file is missing, no TOML, or does not hang together.
    """
    try:
        raw = tomllib.loads(file.read_text("utf-8"))
        return Pack.model_validate({"name": file.stem, **raw})
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise SettingsError(f"The pack '{file}' cannot be read: {reason}; correct pack") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"The pack '{file}' is not valid TOML: {error}") from error
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        text = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"The pack '{file}': {where} {text}; correct it".replace(":  ", ": ")
        ) from error  # fmt: skip


@cache
def known_packs() -> dict[str, Pack]:
    """Return the packs that come with the program, by name."""
    packs = {file.stem: read_pack(file) for file in LAYOUTS.rglob("*.toml")}
    return dict(sorted(packs.items()))


def pack_of(name: str, folder: Path) -> Pack:
    """Return a pack by its name, or from a file of the project where it ends with ``.toml``.

    Raises
    ------
    SettingsError
        When there is none.
    """
    if name.endswith(".toml"):
        return read_pack(folder / name)
    packs = known_packs()
    if name not in packs:
        hint = nearest(name, packs) or f"; known are {sample(packs, 30)}"
        raise SettingsError(f"There is no pack {sample([name])}{hint}")
    return packs[name]
