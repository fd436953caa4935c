"""What the erasure of an account changes in each issued run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.store.schema import SCORE_SCHEMA
from pipelines.store.seals import Erasure, RowsDigest, Seal, digest_of, run_of
from pipelines.store.writer import ErasedRun

if TYPE_CHECKING:
    from pipelines.store.base import ScoreStore
    from pipelines.store.runs import Run

WORDS = "reason_values"


def runs_naming(
    store: ScoreStore,
    account_id: str | None,
    facts_without: Callable[[Mapping[str, str]], Mapping[str, str]],
) -> list[Run]:
    """List the revisions of runs that hold an account, or whose facts name somebody."""
    return [
        run
        for run in store.runs()
        if _row(store, run, account_id) is not None or facts_without(run.facts) != run.facts
    ]


def changes_of(
    store: ScoreStore,
    account_id: str | None,
    tombstone: str,
    moment: datetime,
    facts_without: Callable[[Mapping[str, str]], Mapping[str, str]],
) -> list[ErasedRun]:
    """Work out what each revision of each run becomes without an account.

    Numbers stay. Words that were known of the account go, and so do names in the facts of runs.
    What was worked out before and not written is worked out again.

    Parameters
    ----------
    store : ScoreStore
        An open store.
    account_id : str or None
        The account; None where the facts of runs alone name somebody.
    tombstone : str
        The other name, which no account has.
    moment : datetime
        When it is erased, UTC without a zone.
    facts_without : callable
        Takes the facts of a run, and returns them without the name.
    """
    seals = {seal.run: seal for seal in store.seals()}
    kept: dict[object, list[Erasure]] = {}
    for erasure in store.erasures():
        kept.setdefault(erasure.run, []).append(erasure)
    changes = []
    for run in store.runs():
        facts, held = facts_without(run.facts), _row(store, run, account_id)
        row = None if held is None else _renamed(held, tombstone)
        earlier = kept.get(run_of(run), [])
        begun = [one for one in earlier if one.tombstone == tombstone]
        if begun and row is not None:
            changes.append(ErasedRun(run, row, run.facts, begun[0], is_known=True))
        if begun or (row is None and facts == run.facts):
            continue
        erasure = _erasure(store, run, seals.get(run_of(run)), account_id, row, facts)
        named = replace(erasure, number=len(earlier) + 1, erased_at=moment, tombstone=tombstone)
        changes.append(ErasedRun(run, row, facts, named.sealed(store.seal_key)))
    return changes


def with_row(
    batches: Iterable[pa.RecordBatch], account_id: str, row: pa.RecordBatch
) -> Iterator[pa.RecordBatch]:
    """Take an account out of rows in order of account, and put its other row in its place there."""
    name = row.column("account_id")[0].as_py()
    is_in = False
    for batch in batches:
        others = batch.filter(pc.not_equal(batch.column("account_id"), account_id))
        before = pc.sum(pc.less(others.column("account_id"), name)).as_py() or 0
        if not is_in and before < others.num_rows:
            yield from (others[:before], row)
            others, is_in = others[before:], True
        yield others
    if not is_in:
        yield row


def _row(store: ScoreStore, run: Run, account_id: str | None) -> pa.RecordBatch | None:
    held = () if account_id is None else store.scores(run, accounts=[account_id])
    return next((row for row in held if row.num_rows), None)


def _renamed(row: pa.RecordBatch, tombstone: str) -> pa.RecordBatch:
    """Give a row another name, and keep the numbers alone of what was known."""
    words = [value if _is_number(value) else None for value in row.column(WORDS)[0].as_py()]
    columns = dict(zip(row.schema.names, row.columns, strict=True))
    columns |= {"account_id": [tombstone], WORDS: [words]}
    return pa.RecordBatch.from_pydict(columns, SCORE_SCHEMA)


def _is_number(value: str | None) -> bool:
    try:
        float(value or "")
    except ValueError:
        return False
    return True


def _erasure(
    store: ScoreStore,
    run: Run,
    seal: Seal | None,
    account_id: str | None,
    row: pa.RecordBatch | None,
    facts: Mapping[str, str],
) -> Erasure:
    """Digest a run as it is and as it becomes; without a seal it is held against nothing."""
    rows = digests = ("", "")
    if seal is not None:
        before, after = RowsDigest.of_run(seal, run), RowsDigest.of_run(seal, run)
        before.update(*store.scores(run))
        if row is None or account_id is None:
            after = before
        else:
            after.update(*with_row(store.scores(run), account_id, row))
        groups = store.groups_of(run)
        rows = (before.hexdigest(), after.hexdigest())
        digests = (
            digest_of(seal, run, groups),
            digest_of(seal, replace(run, facts=facts), groups),
        )
    return Erasure(*run_of(run), 0, datetime.min, "", *rows, *digests)
