"""Tables that name accounts in words, spelt unlike the accounts' own: the names are compared bare.

Case, points, blanks and the legal form at the end say nothing of who is meant. A name that two
accounts share when it is bare belongs to neither.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from features.tables.mapping.mapped import TOTAL_ROW
from pipelines.setup.guessing.evidence import INCLUDED
from pipelines.setup.guessing.sql import in_language_of, named, table_named, view_named

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

    from features.packs.views import View
    from features.sources.source import Source
    from pipelines.setup.guessing.columns import TableGuess

ACCOUNT = "account_id"
MOST_ROWS, MOST_COLUMNS = 20_000, 60
FEWEST_NAMES, SHORTEST = 5, 3
LINKED = 0.8
"""Of the names, how many must be those of one account."""
ADDED = 0.05
"""Of the names, how many must be those of one account only when they are bare."""
POINTS, SPACE = "[.'’`\"]", "[ \t\u00a0,;:_/&()+-]+"
FORMS = (
    "gmbh co kg|ltd|limited|gmbh|inc|incorporated|ag|llc|llp|plc|corp|corporation|co|company|sas"
    "|sa|sarl|srl|spa|bv|nv|oyj|oy|ab|asa|as|aps|kg|ohg|ug|se|pty|kk|sl|sp zoo|zoo"
)


def bare_name(name: str) -> str:
    """Return what is left of a company's name without case, points, blanks and legal form.

    Examples
    --------
    >>> bare_name(" ACME  Tools, Ltd."), bare_name("Acme-Tools limited"), bare_name("Nord S.A.")
    ('acmetools', 'acmetools', 'nord')
    """
    spaced = re.sub(SPACE, " ", re.sub(POINTS, "", name.lower())).strip()
    return re.sub(f" ({FORMS})$", "", spaced).replace(" ", "")


def _bare(value: str) -> str:
    """Write the same in SQL."""
    pieces = [text.replace("'", "''") for text in (POINTS, SPACE, f" ({FORMS})$")]
    without = f"REGEXP_REPLACE(LOWER({value}), '{pieces[0]}', '', 'g')"
    spaced = f"TRIM(REGEXP_REPLACE({without}, '{pieces[1]}', ' ', 'g'))"
    return f"REPLACE(REGEXP_REPLACE({spaced}, '{pieces[2]}', ''), ' ', '')"


def with_account_ids(
    accounts: TableGuess | None, source: Source
) -> tuple[dict[str, str], dict[str, View], list[str]]:
    """Give tables that name accounts otherwise than they are called the accounts' ids.

    Parameters
    ----------
    accounts : TableGuess or None
        What seems to hold the accounts.
    source : Source
        The tables.

    Returns
    -------
    dict of str to str
        Views by the tables that they stand for.
    dict of str to View
        The views.
    list of str
        What a person should check.
    """
    from features.packs.views import View
    from features.sources.source import same_name

    columns = {} if accounts is None else accounts.columns
    key = columns.get("account_id")
    # Where nothing else points at them, accounts may be known by their names alone.
    name = columns.get("name") or key
    if accounts is None or accounts.view is not None or not key or not name:
        return {}, {}, []
    owner = source.tables[accounts.source]
    if not owner[name].type().is_string():
        return {}, {}, []
    ids = set(_texts(owner, [key])[key].dropna()) if key != name else set()
    called = _without_totals(_texts(owner, [name])[name].dropna())
    bare = called.map(bare_name)
    single = set(bare[~bare.duplicated(keep=False) & (bare.str.len() >= SHORTEST)])
    stands: dict[str, str] = {}
    views: dict[str, View] = {}
    notes: list[str] = []
    for table in source.tables:
        taken = source.tables[table].columns
        own = key if same_name(key, taken) is None else ACCOUNT
        if table == accounts.source or (
            own != key and (key != name or same_name(own, taken) is not None)
        ):
            continue
        found = _naming(source.tables[table], ids, set(called), single)
        if found is None:
            continue
        column, linked, all_of_them = found
        view = view_named(f"{table.lower()}_named", [*source.tables, *views])
        sql = (
            f"SELECT s.*, a.id AS {named(own)} FROM {table_named(table)} AS s LEFT JOIN (SELECT"
            f" {_bare(named(name))} AS bare, MIN({named(key)}) AS id FROM"
            f" {table_named(accounts.source)} WHERE NOT {named(name)} IS NULL GROUP BY"
            f" {_bare(named(name))} HAVING COUNT(*) = 1) AS a ON"
            f" {_bare('s.' + named(column))} = a.bare"
        )
        stands[table], views[view] = view, View(sql=in_language_of(source, sql))
        notes.append(
            f"{table} names accounts in {column} and spells them otherwise: names are compared"
            f" without case, points, blanks and legal forms; {linked} of {all_of_them} are those of"
            " one account, and rows of others are left out"
        )
    return stands, views, notes


def _naming(
    table: ir.Table, ids: set[str], called: set[str], single: set[str]
) -> tuple[str, int, int] | None:
    """Find the column that names accounts in other spellings: its names, linked and all."""
    texts = [each for each in table.columns if table[each].type().is_string()][:MOST_COLUMNS]
    if not texts:
        return None
    rows = _texts(table, texts)
    if any(_share(rows[each].dropna(), ids) >= INCLUDED for each in texts):
        # Ids say it better than names do.
        return None
    for each in texts:
        names = _without_totals(rows[each].dropna().drop_duplicates())
        if len(names) < FEWEST_NAMES:
            continue
        linked = int(names.map(bare_name).isin(single).sum())
        # What bare names do not add is no spelling: ids that no account has are strangers.
        added = linked - int(names.isin(called).sum())
        if linked >= LINKED * len(names) and added >= ADDED * len(names):
            return each, linked, len(names)
    return None


def _share(values: pd.Series, known: set[str]) -> float:
    single = values.drop_duplicates()
    return float(single.isin(known).mean()) if len(single) >= FEWEST_NAMES else 0.0


def _without_totals(values: pd.Series) -> pd.Series:
    return values[~values.str.strip().str.lower().str.fullmatch(TOTAL_ROW)]


def _texts(table: ir.Table, columns: list[str]) -> pd.DataFrame:
    chosen = [table[each].cast("string").name(f"c{n}") for n, each in enumerate(columns)]
    rows: pd.DataFrame = table.select(chosen).limit(MOST_ROWS).execute()
    rows.columns = columns
    return rows
