"""Packs of a user's own: drafted from samples of a vendor's tables, and tried on them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import DataError, SettingsError, sample
from features.json_values import Json
from features.packs.compiling import Compiler
from features.packs.pack import Pack, read_pack
from features.packs.recognition import required_tables
from features.sources.opening import open_source
from features.tables.mapping.contract import CONTRACT
from pipelines.reports.terminal.whole_file import replaced_whole
from pipelines.setup.drafting.place import places
from pipelines.setup.drafting.toml_text import comment, quoted
from pipelines.setup.guessing.columns import TableGuess, guess_table
from pipelines.setup.guessing.guess import guess_tables
from pipelines.setup.guessing.names import MUTABLE_WORDS, OUTCOME_WORDS

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.sources.source import Source

MOST_HEADS, FEW_ROWS = 6, 5
PERHAPS_CENTS = 10_000
_STATE = re.compile(r"(^|_)(state|stage|phase)$", re.I)
_VERBS = {"time": "time({})", "number": "number({})", "flag": "flag({})"}


@dataclass(frozen=True)
class TriedTable:
    """What a pack makes of one contract table.

    Parameters
    ----------
    rows : int
        Rows that it gives.
    left_out : dict of str to int
        Rows that each of its rules leaves out.
    medians : dict of str to float
        Of amounts.
    examples : list of dict
        The first rows.
    """

    rows: int
    left_out: dict[str, int] = field(default_factory=dict)
    medians: dict[str, float] = field(default_factory=dict)
    examples: list[dict[str, str]] = field(default_factory=list)

    def to_dict(self) -> Json:
        """Return what ``layout test --json`` prints."""
        return asdict(self)


def draft_pack(name: str, url: str, tables: Sequence[str], target: Path) -> list[str]:
    """Write a pack for tables of a vendor, every doubt marked; return the doubts.

    Raises
    ------
    SettingsError
        When the file is there already, or a table is not in the source.
    DataError
        When nothing readable is there.
    """
    if target.exists():
        raise SettingsError(f"The pack '{target}' exists already; choose another name")
    place, parts = places(url)
    with open_source(place, Path(), parts=parts) as source:
        strange = [each for each in tables if each not in source.tables]
        if strange:
            raise SettingsError(
                f"The source '{source.url}' has no table {sample(strange)}; it holds"
                f" {sample(sorted(source.tables), 12)}"
            )
        chosen = source.with_tables({each: source.tables[each] for each in tables})
        guesses, left = guess_tables(chosen)
        lines = _head(name)
        for each in tables:
            lines += _input(each, source)
        for guess in guesses:
            lines += _table(guess, source)
        doubts = [f"{guess.source}: no column looks like {column}"
                  for guess in guesses for column in guess.missing]  # fmt: skip
        doubts += [f"{each}: fits no table of the contract" for each in left]
    lines += [f"\n# check: {comment(each, 400)}\n" for each in left]
    with replaced_whole(target) as fresh:
        fresh.write_bytes("".join(lines).encode())
    return doubts


def _head(name: str) -> list[str]:
    return [
        f"title = {quoted(name)}\nvendor = {quoted(name)}\n",
        '# check: billing, crm, support, product or survey\nkind = "support"\n',
    ]


def _input(table: str, source: Source) -> list[str]:
    columns = source.tables[table].columns
    words = (OUTCOME_WORDS, MUTABLE_WORDS, _STATE)
    today = [each for each in columns if any(word.search(each) for word in words)]
    key = _key(table)
    return [
        f"\n[inputs.{key}]\nnames = [{quoted(table.rpartition('/')[2])}]\n",
        f"has = {quoted(list(columns)[:MOST_HEADS])}\n",
        "# check: columns that are overwritten in place, and say what is so today\n",
        f"today_only = {quoted(_not_times(today, source.tables[table]))}\n",
    ]


def _not_times(columns: Sequence[str], table: ir.Table) -> list[str]:
    """Leave out times: a moment that is filled in later is known from then on."""
    kinds = {each: table[each].type() for each in columns}
    return [each for each in columns if not (kinds[each].is_timestamp() or kinds[each].is_date())]


def _table(guess: TableGuess, source: Source) -> list[str]:
    if "account_id" in guess.missing:
        guess = guess_table(guess.name, guess.source, source)
    lines = [f"\n[tables.{guess.name}]\nfrom = {quoted(_key(guess.source))}\n"]
    lines += ["# check: rows that are no business, such as keep = [\"status != 'deleted'\"]\n"]
    lines += [f"\n[tables.{guess.name}.columns]\n"]
    lines += [f"# check: {comment(note, 400)}\n" for note in guess.notes]
    for column, origin in guess.columns.items():
        if not origin.isidentifier():
            lines.append(f"# check: {column} may be {comment(origin)}, written in plain letters\n")
            continue
        kind = CONTRACT[guess.name].column(column).kind
        lines.append(f"{column} = {quoted(_VERBS.get(kind, '{}').format(origin))}\n")
    lines += [f'# check: {column} = "?", which is required\n' for column in guess.missing]
    return lines


def _key(table: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in table.rpartition("/")[2])


def try_pack(file: Path, url: str, currency: str = "usd") -> dict[str, TriedTable]:
    """Read a source with a pack, and count what each rule keeps and leaves out.

    Raises
    ------
    SettingsError
        When the pack is wrong.
    DataError
        When the tables are laid out in another way, or nothing readable is there.
    """
    pack = read_pack(file)
    place, parts = places(url)
    with open_source(place, Path(), parts=parts) as source:
        found = required_tables(
            pack, list(source.tables), lambda each: tuple(source.tables[each].columns), {}, "pack"
        )
        tables = {key: source.tables[name] for key, name in found.tables.items()}
        compiler = Compiler(pack, tables, "pack", currency=currency)
        made = compiler.tables()
        try:
            return {name: _tried(name, made[name], compiler, pack) for name in made}
        except source.engine.errors as error:
            raise DataError(
                f"The pack '{file}' cannot be computed: {source.engine.explain(error)}; correct it"
            ) from error


def _tried(name: str, rows: ir.Table, compiler: Compiler, pack: Pack) -> TriedTable:
    rules = compiler.left_out.get(name, [])
    money = [each for each in ("mrr", "amount") if each in pack.tables[name].columns]
    medians = {each: rows[each].cast("float64").median().execute() for each in money}
    first = rows.limit(FEW_ROWS).to_pyarrow().to_pylist()
    return TriedTable(
        rows=int(rows.count().execute()),
        left_out={text: int(dropped.count().execute()) for text, dropped in rules},
        medians={each: float(value) for each, value in medians.items() if value == value},
        examples=[{key: str(value) for key, value in row.items()} for row in first],
    )
