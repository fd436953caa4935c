"""A snapshot: the newest run of an outcome as the panel reads it, whoever writes the store."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

import duckdb

from features.errors import SettingsError, StoreError, first_line, nearest, sample
from models.scoring.scale import BANDS
from pipelines.dashboard.snapshot.query import MOVES, OPEN, STATES, AccountQuery
from pipelines.dashboard.snapshot.schema import (
    ALIKE,
    BESIDE,
    EVERY,
    FACETS,
    LISTED,
    SORTED,
    Attribute,
    place_in,
    read_from,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from models.scoring.health_model import HealthModel
    from pipelines.dashboard.access.notes import Note
    from pipelines.dashboard.access.visitor import Visitor
    from pipelines.store.runs import Run, RunKey

NOT_KNOWN = ""
LONGEST_SEARCH = 200
MOST_RESULTS, MOST_VALUES = 400, 300
Value = TypeVar("Value")
Predicate = tuple[str, list[object]]


@dataclass(frozen=True)
class Contents:
    """What a snapshot was made from, and what was found missing then.

    Parameters
    ----------
    run : Run
        The run.
    taken_at : datetime
        When it was read from the store, UTC without a zone.
    attributes : tuple of Attribute
        Columns of the accounts table.
    known : dict of str to int
        Accounts of which each sorted column is known.
    history : list of dict
        Every run by band, in the columns of :data:`pipelines.store.schema.PORTFOLIO_SCHEMA`.
    model : HealthModel or None
        What made the scores; None where the registry does not give it.
    foretells : bool
        Whether it was shown that behaviour foretells the outcome.
    spread : float or None
        How far the model may be off in the large, in log-odds.
    notes : tuple of Note
        What is missing, and why.
    sums : (float or None, float or None)
        ARR of all accounts, and probability times ARR; None where no MRR is known.
    first_band : str
        The band of the highest probabilities.
    since : Run or None
        The run of the date before, beside which changes are told.
    earlier : tuple of (RunKey, int)
        Every run before that counts, with its revision.
    erased : tuple of str
        Names that stand for accounts that were erased: they count in sums and nobody is called.
    let_go : str or None
        What is said in place of reasons that are no longer kept.
    """

    run: Run
    taken_at: datetime
    attributes: tuple[Attribute, ...]
    known: Mapping[str, int]
    history: Sequence[Mapping[str, Any]]
    model: HealthModel | None
    foretells: bool
    spread: float | None
    notes: tuple[Note, ...]
    sums: tuple[float | None, float | None]
    first_band: str = BANDS[0]
    since: Run | None = None
    earlier: tuple[tuple[RunKey, int], ...] = ()
    erased: tuple[str, ...] = ()
    let_go: str | None = None


class Snapshot:
    """Scores joined with what the accounts table says, in a file of the panel's own.

    Every question is asked for a visitor, and answered from the accounts they may see: no page can
    forget that. Any number of threads may ask at once.

    Parameters
    ----------
    connection : DuckDBPyConnection
        The file, opened for reading; it is closed when nobody holds the snapshot any more.
    contents : Contents
        What is in it.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, contents: Contents) -> None:
        self._connection = connection
        self.contents = contents
        self.run = contents.run
        self.outcome = contents.run.key.outcome
        self.taken_at = contents.taken_at
        self.model = contents.model
        self.attributes = contents.attributes
        self._working = threading.Lock()
        self._results: OrderedDict[Hashable, object] = OrderedDict()
        weakref.finalize(self, connection.close)

    @property
    def has_money(self) -> bool:
        """Whether the MRR of any account is known."""
        return self.contents.known["arr"] > 0

    @property
    def has_owners(self) -> bool:
        """Whether it is known who looks after an account."""
        return self.contents.known["owner"] > 0

    @property
    def has_renewals(self) -> bool:
        """Whether it is known of any account when its contract renews."""
        return self.contents.known["renewal"] > 0

    @property
    def facets(self) -> dict[str, str]:
        """What accounts are picked by, and the column that holds it."""
        picked = {name: name for name in FACETS}
        return picked | {one.name: one.stored for one in self.attributes if one.is_text}

    @property
    def sorts(self) -> dict[str, str]:
        """What accounts are sorted by, and the column that holds it."""
        columns = {name: name for name in SORTED} | ALIKE
        return columns | {one.name: one.stored for one in self.attributes}

    def account(self, visitor: Visitor, account_id: str) -> dict[str, Any] | None:
        """Return one account, with everything the snapshot holds of it.

        Returns
        -------
        dict or None
            The columns of :data:`pipelines.store.schema.SCORE_SCHEMA`, ``name``, ``owner``,
            ``lifecycle``, ``arr``, ``stake`` and ``attributes`` (column to value); None where
            there is no such account, or the visitor may not see it.
        """
        allowed, values = self.allowed(visitor)
        rows = self.ask(
            f"select {EVERY} from accounts where account_hash = hash(?) and account_id = ?"
            f" and {allowed}",
            [account_id, account_id, *values],
        )
        return self.told(rows[0]) if rows else None

    def batches(
        self, visitor: Visitor, query: AccountQuery, columns: Sequence[str], rows_at_once: int
    ) -> Iterator[pa.RecordBatch]:
        """Return all accounts of a view in its order, some at a time, in bounded memory.

        Parameters
        ----------
        visitor : Visitor
            Who asks.
        query : AccountQuery
            What for; where a page begins and its size do not matter.
        columns : sequence of str
            Columns that the snapshot has.
        rows_at_once : int
            Most rows of a batch.
        """
        where, values = self.predicate(visitor, query)
        asked = f"select {', '.join(map(read_from, columns))} from accounts where {where} order by"
        with self._speaking(), self._connection.cursor() as cursor:
            answer = cursor.sql(f"{asked} {self.order_of(query)}", params=values)
            with answer.to_arrow_reader(rows_at_once) as reader:
                yield from reader

    def once(self, key: Hashable, work: Callable[[], Value]) -> Value:
        """Return what some work came to, done once per key as long as it is remembered.

        Parameters
        ----------
        key : hashable
            What the work is about, and for whom.
        work : callable
            Computes it from this snapshot.
        """
        with self._working:
            value = self._results.pop(key, None)
            if value is None:
                value = work()
            self._results[key] = value
            while len(self._results) > MOST_RESULTS:
                self._results.popitem(last=False)
            return cast("Value", value)

    def history_of(self, visitor: Visitor) -> Sequence[Mapping[str, Any]]:
        """Return the bands of what a visitor sees, run by run.

        Returns
        -------
        sequence of mapping
            The columns of :data:`pipelines.store.schema.PORTFOLIO_SCHEMA`: of every run for who
            sees all accounts, else of the dates that are drawn beside an account.
        """
        if visitor.sees_all:
            return self.contents.history
        allowed, values = self.allowed(visitor)
        return self.ask(
            "select as_of, model_version, issued_at, band, sum(accounts)::bigint as accounts,"
            " sum(mrr) as mrr, sum(score) / sum(accounts) as mean_score from books"
            f" where {allowed} group by all order by as_of, issued_at",
            values,
        )

    def values_of(self, visitor: Visitor) -> dict[str, list[str | None]]:
        """List the values of each facet among the accounts a visitor sees, the most frequent first.

        A facet with very many values has only its most frequent ones; None stands for accounts of
        which it is not known.
        """
        return self.once(("values", visitor.owners), lambda: self._counted_values(visitor))

    def _counted_values(self, visitor: Visitor) -> dict[str, list[str | None]]:
        allowed, values = self.allowed(visitor)
        by_facet = {}
        for name, column in self.facets.items():
            rows = self.ask(
                f"select {column} as value from accounts where {allowed} group by all"
                f" order by count(*) desc, value limit {MOST_VALUES}",
                values,
            )
            by_facet[name] = [row["value"] for row in rows]
        return by_facet

    @property
    def listed(self) -> tuple[str, ...]:
        """What reads the columns of a row of the list."""
        return (*LISTED, *map(read_from, BESIDE), *(one.stored for one in self.attributes))

    def predicate(self, visitor: Visitor, query: AccountQuery) -> Predicate:
        """Write what a view asks for, within what the visitor may see, with its parameters."""
        allowed, values = self.allowed(visitor)
        terms = [allowed]
        for name, wanted in query.wanted.items():
            term, held = _one_of(_known(name, self.facets, "picked"), wanted)
            terms.append(term)
            values += held
        for bound, sign in ((query.score_from, ">="), (query.score_to, "<=")):
            if bound is not None:
                terms.append(f"score {sign} ?")
                values.append(bound)
        if query.moved:
            moves = [
                MOVES[_known(one, {name: name for name in MOVES}, "picked")] for one in query.moved
            ]
            terms.append(f"({' or '.join(f'({move})' for move in moves)})")
            values += [self.contents.first_band for move in moves if "?" in move]
        if query.states:
            terms.append(_in_states(query))
            values.append(_accounts_of(query))
        if query.without:
            terms.append("account_id not in (select unnest(?::text[]))")
            values.append([*query.without])
        if query.renews_days is not None:
            terms.append("renewal between ? and ?")
            day = self.run.key.as_of
            values += [day, day + timedelta(days=query.renews_days)]
        for word in query.search[:LONGEST_SEARCH].split():
            terms.append("contains(found_by, strip_accents(lower(?)))")
            values.append(word)
        return " and ".join(term for term in terms if term != "true") or "true", values

    def allowed(self, visitor: Visitor) -> Predicate:
        """Write which accounts a visitor may see."""
        if visitor.owners is None:
            return "true", []
        owners = sorted(visitor.owners)
        # An account that nobody looks after is nobody's but theirs who see all.
        return (f"owner in ({', '.join('?' * len(owners))})" if owners else "false"), [*owners]

    def order_of(self, query: AccountQuery) -> str:
        """Write the place of an account in the order of a view, from 1."""
        column = _known(query.sort, self.sorts, "sorted")
        place, known = place_in(column), self.contents.known[column]
        if not query.descending:
            return place
        return f"if({place} <= {known}, {known + 1} - {place}, {place})"

    def ask(self, query: str, values: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Answer a query of the table ``accounts``, whose values are written ``?``.

        Raises
        ------
        StoreError
            When the engine cannot, such as for want of memory.
        """
        with self._speaking(), self._connection.cursor() as cursor:
            cursor.execute(query, list(values))
            names = [described[0] for described in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            raise StoreError(
                f"The panel's copy of the scores could not be used: {first_line(error)}; ask for"
                " less at once, or raise [serve] memory"
            ) from error

    def told(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row without what only the snapshot needs."""
        attributes = {one.column: row.get(one.stored) for one in self.attributes}
        columns = {
            name: value
            for name, value in row.items()
            if not name.startswith(("place", "attribute_"))
            and name not in ("account_hash", "found_by")
        }
        return {**columns, "attributes": attributes}


def _one_of(column: str, wanted: Sequence[str]) -> tuple[str, list[str]]:
    named = [one for one in wanted if one != NOT_KNOWN]
    terms = [f"{column} in ({', '.join('?' * len(named))})"] if named else []
    terms += [f"{column} is null"] if NOT_KNOWN in wanted else []
    return f"({' or '.join(terms) or 'false'})", named


def _in_states(query: AccountQuery) -> str:
    """Write the condition of states, beside the list of :func:`_accounts_of`."""
    for one in query.states:
        _known(one, STATES, "picked")
    sense = "not in" if OPEN in query.states else "in"
    return f"account_id {sense} (select unnest(?::text[]))"


def _accounts_of(query: AccountQuery) -> list[str]:
    """List the accounts that are looked for, or where open calls are, those that are left out."""
    is_open = OPEN in query.states
    return [name for name, state in query.called.items() if (state in query.states) is not is_open]


def _known(name: str, known: Mapping[str, str], what: str) -> str:
    if name not in known:
        hint = nearest(name, known) or f"; there are {', '.join(known)}"
        raise SettingsError(f"Accounts are not {what} by {sample([name])}{hint}")
    return known[name]
