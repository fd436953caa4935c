"""Reasons of runs that are older than reasons are kept: let go, and that is on record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from features.errors import StoreError
from features.json_values import Json, JsonReady
from pipelines.reports.wording import plural
from pipelines.scoring.verify.seals import after_erasures, changed_parts
from pipelines.store.issued import of_reasons
from pipelines.store.opening import open_store
from pipelines.store.runs import now
from pipelines.store.schema import mark_of, without_reasons
from pipelines.store.seals import Erasure, RowsDigest, run_of
from pipelines.store.writer import ErasedRun

if TYPE_CHECKING:
    from pipelines.project.project import Project
    from pipelines.store.base import ScoreStore
    from pipelines.store.runs import Run
    from pipelines.store.seals import Seal


MEGABYTE = 10**6


@dataclass(frozen=True)
class Compacted(JsonReady):
    """What became of old reasons.

    Parameters
    ----------
    keep_reasons_days : int or None
        How long reasons are kept; None for ever.
    runs : int
        Runs whose reasons were let go just now.
    bytes_before, bytes_after : int
        Room that the store took and takes.
    changed : list of str
        Runs that are not as they were issued: their reasons stay, as does what gives that away.
    """

    keep_reasons_days: int | None
    runs: int
    bytes_before: int
    bytes_after: int
    changed: list[str] = field(default_factory=list)

    @property
    def freed(self) -> int:
        """Bytes that the store takes less."""
        return self.bytes_before - self.bytes_after

    @property
    def said(self) -> list[str]:
        """The same in sentences."""
        days = self.keep_reasons_days
        if days is None:
            lines = ["Reasons are kept for ever; set [store] keep_reasons_days to let old ones go"]
        else:
            lines = [f"Let the reasons of {plural(self.runs, 'run')} go, kept for {days:,} days"]
        megabytes = f"{self.bytes_after / MEGABYTE:,.1f} MB"
        return [*lines, f"The store takes {megabytes}, {self.freed / MEGABYTE:,.1f} MB less"]

    @property
    def warnings(self) -> list[str]:
        """What was not done, in sentences."""
        return stay_words(self.changed)

    def to_dict(self) -> Json:
        """Return what ``compact --json`` prints."""
        return super().to_dict() | {"freed": self.freed, "said": [*self.said, *self.warnings]}


def stay_words(changed: Iterable[str]) -> list[str]:
    """Say of runs that are not as they were issued that their reasons stay."""
    why = "stay, for the run is not as it was issued; see 'healthscore verify-store'"
    return [f"The reasons of the scores of {run} {why}" for run in changed]


def compact(project: Project) -> Compacted:
    """Let old reasons go, and give the room that is free within the store back.

    Raises
    ------
    StoreError
        When there is no store, or it cannot be read or written.
    """
    with open_store(project, read_only=True) as store:
        before = store.held_bytes()
    runs, changed = let_reasons_go(project)
    with open_store(project, read_only=False) as store:
        store.compact()
    with open_store(project, read_only=True) as store:
        after = store.held_bytes()
    days = project.settings.store.keep_reasons_days
    return Compacted(days, runs, before, after, changed)


def let_reasons_go(project: Project) -> tuple[int, list[str]]:
    """Let the reasons of old runs go, as the configuration has it; what was stopped is ended.

    Returns
    -------
    runs : int
        How many runs.
    changed : list of str
        Runs that are not as they were issued, which stay as they are.

    Raises
    ------
    StoreError
        When the store cannot be read or written.
    """
    days = project.settings.store.keep_reasons_days
    if days is None:
        return 0, []
    with open_store(project, read_only=False) as store:
        changes, changed = _changes(store, days, now())
        if changes:
            store.write_erased(changes, None)
    return len(changes), changed


def runs_due(runs: Iterable[Run], days: int, moment: datetime) -> list[Run]:
    """Choose the runs whose reasons were kept long enough, by the clock and by later runs.

    A clock that is wrong today lets nothing go that no later run of the outcome was issued so long
    after. The run that readers see as the newest is never chosen.

    Parameters
    ----------
    runs : iterable of Run
        Of all outcomes, by date and in the order of issue.
    days : int
        How long reasons are kept.
    moment : datetime
        What the clock says, UTC without a zone.
    """
    of_outcome: dict[str, list[Run]] = {}
    for run in runs:
        of_outcome.setdefault(run.key.outcome, []).append(run)
    due = []
    for listed in of_outcome.values():
        last = min(moment, max(run.issued_at for run in listed))
        kept = timedelta(days=days)
        due += [run for run in listed[:-1] if last - run.issued_at >= kept]
    return due


def _changes(store: ScoreStore, days: int, moment: datetime) -> tuple[list[ErasedRun], list[str]]:
    """Work out which runs let their reasons go; those that are not as issued are named."""
    seals = {seal.run: seal for seal in store.seals()}
    of_run: dict[object, list[Erasure]] = {}
    for one in store.erasures():
        of_run.setdefault(one.run, []).append(one)
    runs = store.runs()
    changes, changed = list(_stopped(store, runs, of_run)), []
    for run in runs_due(runs, days, moment):
        erasures = of_run.get(run_of(run), [])
        if of_reasons(erasures):
            continue
        try:
            erasure = _erasure(store, run, seals.get(run_of(run)), erasures, mark_of(days), moment)
        except StoreError:
            erasure = None
        if erasure is None:
            changed.append(f"{run.key}, revision {run.revision}")
        else:
            changes.append(ErasedRun(run, None, run.facts, erasure))
    return changes, changed


def _stopped(
    store: ScoreStore, runs: Sequence[Run], of_run: dict[object, list[Erasure]]
) -> Iterator[ErasedRun]:
    """Take up again what the last job to let reasons go may have been stopped over."""
    gone = {run: of_reasons(each) for run, each in of_run.items()}
    last = max((one.erased_at for each in gone.values() for one in each), default=None)
    for run in runs:
        for one in gone.get(run_of(run), []):
            if one.erased_at == last and store.is_file_changed(run):
                yield ErasedRun(run, None, run.facts, one, is_known=True)


def _erasure(
    store: ScoreStore,
    run: Run,
    seal: Seal | None,
    erasures: list[Erasure],
    mark: str,
    moment: datetime,
) -> Erasure | None:
    """Write down what a run was and is without its reasons; None where it is not as issued."""
    rows, after, digest = "", "", ""
    if seal is not None:
        groups, key = store.groups_of(run), store.seal_key
        if changed_parts(run, seal, store.scores(run), groups, key, erasures):
            return None
        rows, digest, _ = after_erasures(run, seal, erasures, key)
        bare = RowsDigest.of_run(seal, run)
        for batch in store.scores(run):
            bare.update(without_reasons(batch))
        after = bare.hexdigest()
    number = len(erasures) + 1
    told = Erasure(*run_of(run), number, moment, mark, rows, after, digest, digest)
    return told.sealed(store.seal_key)
