"""Checking the seals of a store: which runs are not as they were issued."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from features.errors import SettingsError, StoreError, sample
from features.json_values import Json, JsonReady
from pipelines.project.project import Project
from pipelines.reports.wording import plural
from pipelines.scoring.bands.settled import AFTER
from pipelines.store.base import ScoreStore
from pipelines.store.issued import of_reasons
from pipelines.store.opening import open_store
from pipelines.store.runs import Run
from pipelines.store.schema import days_kept
from pipelines.store.seals import (
    Erasure,
    RowsDigest,
    Seal,
    digest_of,
    key_id,
    refuse_later_seal,
    run_of,
    signed,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    import pyarrow as pa

SHOWN = 5
_SEAL = re.compile(r"[0-9a-f]{64}")
UNFINISHED = "an erasure that was stopped; run 'healthscore erase' again"
STOPPED = "its file, where letting reasons go may have been stopped; run 'healthscore compact'"


@dataclass(frozen=True)
class ChangedRun:
    """A run that is not as it was issued.

    Attributes
    ----------
    outcome, as_of, model_version, revision
        Which run.
    parts : tuple of str
        What of it has changed, in words.
    """

    outcome: str
    as_of: str
    model_version: str
    revision: int
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.as_of} by model version {self.model_version}, revision {self.revision} (outcome"
            f" {self.outcome}): {', '.join(self.parts)}"
        )


@dataclass
class SealCheck(JsonReady):
    """What came of checking a store.

    Attributes
    ----------
    runs, sealed : int
        Runs in the store, and how many seals there are.
    changed : list of ChangedRun
        Runs that are not as they were issued.
    broken : list of str
        What is wrong with the chain as a whole, one sentence each.
    notes : list of str
        What people should know and is no fault, one sentence each.
    newest : str or None
        The last seal; who keeps it elsewhere can tell later that nothing was taken off the end.
    """

    runs: int
    sealed: int
    changed: list[ChangedRun] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    newest: str | None = None

    @property
    def same(self) -> bool:
        """Whether every sealed run is as it was issued."""
        return not self.changed and not self.broken

    @property
    def said(self) -> list[str]:
        """The same in sentences."""
        verdict = [f"All {self.sealed:,} sealed runs are as they were issued"] * self.same
        return [*verdict, *map(str, self.changed), *self.broken, *self.notes]

    def to_dict(self) -> Json:
        """Return what ``verify-store --json`` prints."""
        return super().to_dict() | {"same": self.same, "said": self.said}


def verify_store(project: Project, noted: str | None = None) -> SealCheck:
    """Compare every run of a project's store with its seal; see :func:`check_seals`.

    Raises
    ------
    StoreError
        When the store cannot be read, or a later version sealed a run.
    """
    with open_store(project, read_only=True) as store:
        return check_seals(store, key_at_hand(project), noted)


def key_at_hand(project: Project) -> bytes | None:
    """Return the key that runs are sealed with; checking says so where it is lost."""
    try:
        return project.settings.store.seal_key()
    except SettingsError:
        return None


def check_seals(store: ScoreStore, key: bytes | None, noted: str | None = None) -> SealCheck:
    """Compare every run with its seal, and every seal with the one before.

    Parameters
    ----------
    store : ScoreStore
        An open store.
    key : bytes or None
        The key that runs are sealed with, where it is at hand.
    noted : str, optional
        A seal that was kept elsewhere, which must be in the chain.

    Raises
    ------
    StoreError
        When the store cannot be read, or a later version sealed a run.
    SettingsError
        When what was kept is no seal.
    """
    seals = store.seals()
    for seal in seals:
        refuse_later_seal(seal)
    runs = {run_of(run): run for run in store.runs()}
    erased = store.erasures()
    of_run: dict[object, list[Erasure]] = {}
    for one in erased:
        of_run.setdefault(one.run, []).append(one)
    parts = {
        seal.run: _parts(store, runs.get(seal.run), seal, key, of_run.get(seal.run, []))
        for seal in seals
    }
    check = SealCheck(len(runs), len(seals), newest=seals[-1].seal if seals else None)
    _follow(check, seals, parts)
    _check_key(check, seals, parts, key)
    _count_unsealed(check, seals, [run for name, run in runs.items() if name not in parts])
    check.notes += _order_words(list(runs.values()), {seal.run: seal.place for seal in seals})
    check.notes += erased_words(erased)
    unknown = [one for one in erased if key is not None and one.key_id != key_id(key)]
    if unknown:
        check.notes.append(
            f"{len(unknown):,} erasures were written down without the key at hand, so who did it"
            f" cannot be told: {sample(dict.fromkeys(one.tombstone for one in unknown), SHOWN)}"
        )
    if noted is not None and not _SEAL.fullmatch(noted):
        raise SettingsError(
            f"A seal is 64 hexadecimal digits, and {sample([noted])} is none; give one that"
            " 'healthscore score' or 'healthscore verify-store' told"
        )
    if noted is not None and noted not in {seal.seal for seal in seals}:
        check.broken.append(
            f"The seal {noted[:64]!r} is not in the store: runs were taken off its end, or sealed"
            " anew"
        )
    check.changed = [
        ChangedRun(name[0], name[1].isoformat(), name[2], name[3], tuple(changed))
        for name, changed in parts.items()
        if changed
    ]
    stamped = [runs[seal.run] for seal in seals if seal.run in runs]
    back = [str(later.key) for run, later in pairwise(stamped) if later.issued_at < run.issued_at]
    if back:
        check.notes.append(
            f"The clock stood before that of the run before it when {sample(back)} was issued; the"
            " order of issue is that of the seals"
        )
    return check


def changed_parts(
    run: Run,
    seal: Seal,
    rows: Iterable[pa.RecordBatch],
    groups: Mapping[str, str],
    key: bytes | None,
    erasures: Sequence[Erasure] = (),
) -> list[str]:
    """Name what of a run does not fit its seal, in words.

    Parameters
    ----------
    run : Run
        As the store describes it.
    seal : Seal
        Its seal.
    rows : iterable of RecordBatch
        Its rows in order of account.
    groups : dict of str to str
        Group of each signal that may be a reason.
    key : bytes or None
        The key that runs are sealed with, where it is at hand.
    erasures : sequence of Erasure
        What was erased from it, in that order.
    """
    changed = []
    rows_digest, digest_then, fault = after_erasures(run, seal, erasures, key)
    digest = RowsDigest.of_run(seal, run)
    for batch in rows:
        digest.update(batch)
    if fault:
        changed.append(fault)
    elif erasures and digest.hexdigest() == erasures[-1].rows_before != rows_digest:
        changed.append(UNFINISHED)
    elif digest.hexdigest() != rows_digest:
        changed.append("its rows")
    if run.rows != digest.rows:
        changed.append(f"it says {run.rows:,} rows and has {digest.rows:,}")
    if not fault and digest_of(seal, run, groups) != digest_then:
        changed.append("its moment, facts, groups of signals or place in the chain")
    can_tell = seal.key_id in ("", key_id(key))
    used = key if seal.key_id else None
    if can_tell and not hmac.compare_digest(signed(seal.digest, used).encode(), seal.seal.encode()):
        changed.append("its seal")
    return changed


def after_erasures(
    run: Run, seal: Seal, erasures: Sequence[Erasure], key: bytes | None
) -> tuple[str, str, str | None]:
    """Follow a run through its erasures, from its seal on: what it must be, or what is wrong."""
    rows, digest = seal.rows_digest, seal.digest
    for number, one in enumerate(erasures, start=1):
        days = days_kept(one.tombstone)
        is_early = days is not None and one.erased_at - run.issued_at < timedelta(days=days)
        # Whoever has no key cannot write down an erasure of what was sealed with one.
        is_foreign = bool(one.key_id) and seal.key_id != key_id(key)
        is_vouched = one.is_sound(key) and (
            one.key_id == seal.key_id or is_foreign or not seal.key_id
        )
        if (
            is_early
            or not is_vouched
            or (one.number, one.rows_before, one.digest_before)
            != (
                number,
                rows,
                digest,
            )
        ):
            return rows, digest, "its rows, which no record of an erasure explains"
        rows, digest = one.rows_after, one.digest_after
    return rows, digest, None


def erased_words(erasures: Sequence[Erasure]) -> list[str]:
    """Say what was erased, once for each name, and how many runs let their reasons go."""
    runs: dict[str, list[Erasure]] = {}
    gone = of_reasons(erasures)
    for one in erasures:
        if one not in gone:
            runs.setdefault(one.tombstone, []).append(one)
    days = [f"{one.erased_at:%Y-%m-%d}" for one in gone]
    let_go = [
        f"Reasons of {plural(len(gone), 'run')} were let go as the configuration had it, the last"
        f" on {max(days, default='')}, and are no longer compared"
    ]
    return let_go * bool(gone) + [
        f"Erased on {each[0].erased_at:%Y-%m-%d}, and {plural(len(each), 'run')} changed for it:"
        f" what is now called {tombstone}"
        for tombstone, each in runs.items()
    ]


def _parts(
    store: ScoreStore,
    run: Run | None,
    seal: Seal,
    key: bytes | None,
    erasures: Sequence[Erasure],
) -> list[str]:
    if run is None:
        return ["it is gone"]
    try:
        changed = changed_parts(run, seal, store.scores(run), store.groups_of(run), key, erasures)
        if not changed and store.is_file_changed(run):
            is_gone = of_reasons(erasures)
            changed.append(STOPPED if is_gone else "its file, beside its rows")
        return changed
    except StoreError:
        return ["its rows cannot be read"]


def _follow(
    check: SealCheck, seals: list[Seal], parts: dict[tuple[str, date, str, int], list[str]]
) -> None:
    """See that each seal holds the one before."""
    before, place = "", 0
    for number, seal in enumerate(seals):
        if seal.place != place + 1:
            check.broken.append(
                f"The runs at places {place + 1} to {seal.place - 1} of the chain are gone, which"
                f" were issued before that of {seal.as_of} by model version {seal.model_version}"
            )
        elif seal.seal_before != before and not parts[seal.run]:
            # This seal is sound, so the one before is no longer what it was.
            parts[seals[max(number - 1, 0)].run].append("it was sealed anew")
        before, place = seal.seal, seal.place


def _order_words(runs: list[Run], places: Mapping[object, int]) -> list[str]:
    """Say which runs of a date stand in another order than that of issue, by which one is latest.

    Where two jobs issued at the same time nothing need be wrong.
    """
    of_outcome = sorted(runs, key=lambda run: run.key.outcome)
    return [
        f"The store holds {run.key} before {later.key}, which was sealed earlier: they were issued"
        " at the same time, or somebody changed which is the newest"
        for run, later in pairwise(of_outcome)
        if (run.key.outcome, run.key.as_of) == (later.key.outcome, later.key.as_of)
        and places.get(run_of(later), 0) < places.get(run_of(run), 0)
    ]


def _check_key(
    check: SealCheck,
    seals: list[Seal],
    parts: dict[tuple[str, date, str, int], list[str]],
    key: bytes | None,
) -> None:
    """See which seals the key at hand vouches for: its own, and all before them in the chain."""
    foreign = [seal for seal in seals if seal.key_id and seal.key_id != key_id(key)]
    if key is None and foreign:
        check.notes.append(
            f"{len(foreign):,} runs were sealed with a key that is not at hand: they fit their"
            " seals, but whether somebody without the key made those cannot be told; set [store]"
            " seal_key_env and its variable"
        )
    if key is None:
        return
    own = [seal.place for seal in seals if seal.key_id == key_id(key) and not parts[seal.run]]
    if not own and seals:
        check.notes.append(
            f"None of the {len(seals):,} seals was made with the key at hand; they fit their runs,"
            " and the next run that is issued vouches for them"
        )
    for seal in seals:
        if own and seal.place > max(own) and seal.key_id != key_id(key) and not parts[seal.run]:
            parts[seal.run].append("it was sealed without the key at hand")


def _count_unsealed(check: SealCheck, seals: list[Seal], unsealed: list[Run]) -> None:
    names = _names(unsealed)
    expected = seals[-1].unsealed if seals else len(unsealed)
    # Only versions that seal every run say which run its bands follow.
    stripped = [run for run in unsealed if AFTER in run.facts]
    if stripped and not seals:
        check.broken.append(
            f"{len(stripped):,} runs bear no seal, and the version that issued them seals every"
            f" run: {_names(stripped)}"
        )
    elif len(unsealed) != expected:
        named = f": {names}" if unsealed else ""
        check.broken.append(
            f"{len(unsealed):,} runs bear no seal, and there were {expected:,} when sealing began"
            f"{named}"
        )
    elif unsealed:
        check.notes.append(
            f"{len(unsealed):,} runs were issued before there were seals, so whether they changed"
            f" cannot be told: {names}"
        )


def _names(runs: list[Run]) -> str:
    return sample([f"{run.key}, revision {run.revision}" for run in runs], SHOWN)
