"""Records, ledgers, users and tokens without an account or a person."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from features.errors import sample
from features.json_values import JsonReady
from pipelines.dashboard.access.gate import users_path
from pipelines.dashboard.access.tokens import revoke_all_of, tokens_file
from pipelines.dashboard.access.users import UsersFile
from pipelines.plays.experiment.assign import ledger_of
from pipelines.plays.experiment.ledger import Assignment, Draw
from pipelines.portfolio.outbox.ledger import Record, opened_ledger
from pipelines.portfolio.outbox.writeback.writing import FILE_NAME as WRITEBACK
from pipelines.project.records.calls import PAGE_KEY, CallEntry, call_book
from pipelines.project.records.overrides import Override, override_book
from pipelines.reports.terminal.console import plain

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.project.erase.subject import Subject
    from pipelines.project.project import Project
    from pipelines.project.records.chain import Chain

Entry = TypeVar("Entry", bound=JsonReady)
GONE = "erased"
LONGEST_SHOWN = 100


def erase_records(project: Project, subject: Subject, *, do: bool) -> Mapping[str, int]:
    """Count, and where asked for change, the entries of every record that name a subject.

    Parameters
    ----------
    project : Project
        The configuration.
    subject : Subject
        Who.
    do : bool
        Whether to change them.

    Raises
    ------
    StoreError
        When a record was changed past the program, or cannot be written.
    SettingsError
        When the users or the tokens file cannot be read, or its key is not there.
    """
    counted = {
        "calls": _in_chain(call_book(project.folder), lambda one: _call(one, subject), do=do),
        "overrides": _in_chain(
            override_book(project.folder), lambda one: _override(one, subject), do=do
        ),
        "experiments": _in_chain(ledger_of(project), lambda one: _draw(one, subject), do=do),
        "digests": _in_ledger(project.folder / project.settings.digest.ledger, subject, do=do),
        "writeback": _in_ledger(project.folder / WRITEBACK, subject, do=do),
    }
    if subject.kind == "person":
        counted |= {
            "users": _users(project, subject, do=do),
            "tokens": _tokens(project, subject, do=do),
        }
    return counted


@dataclass(frozen=True)
class Noted:
    """Notes of others that an erasure changes, and those that hold a word which may be meant.

    Parameters
    ----------
    changed, doubtful : list of str
        One sentence each.
    """

    changed: list[str]
    doubtful: list[str]


def notes_naming(project: Project, subject: Subject) -> Noted:
    """List notes about others that name a subject: the newest last, without what they say of it."""
    texts = [
        (one.account_id, one.done_at.date(), one.note)
        for one in call_book(project.folder).entries()
    ]
    texts += [
        (one.account_id, one.written_at.date(), one.reason)
        for one in override_book(project.folder).entries()
    ]
    noted = Noted([], [])
    for account, day, text in texts:
        if subject.is_account(account):
            continue
        whose = f"{plain(account, 60)}, {day}"
        if subject.without(text) != text:
            noted.changed.append(f"{whose}: {plain(text, LONGEST_SHOWN)}")
        words = subject.doubtful_in(text)
        if words:
            noted.doubtful.append(f"{whose}: {plain(text, LONGEST_SHOWN)} ({sample(words)})")
    return noted


def _in_chain(chain: Chain[Entry], change: Callable[[Entry], Entry], *, do: bool) -> int:
    """Write a record anew, where an entry changes: every line after it seals another."""
    if not chain.path.exists():
        return 0
    if not do:
        return _differing(chain.entries(), [change(one) for one in chain.entries()])
    with chain.adding():
        changed = [change(one) for one in chain.entries()]
        count = _differing(chain.entries(), changed)
        if count:
            chain.rewrite(changed)
    return count


def _differing(before: Sequence[Entry], after: Sequence[Entry]) -> int:
    return sum(one != other for one, other in zip(before, after, strict=True))


def _call(entry: CallEntry, subject: Subject) -> CallEntry:
    if subject.is_account(entry.account_id):
        key = entry.key if PAGE_KEY.fullmatch(entry.key) else ""
        return replace(entry, account_id=subject.tombstone, note="", key=key)
    key, note = subject.without(entry.key), subject.without(entry.note)
    return replace(entry, by=subject.person(entry.by), note=note, key=key)


def _override(entry: Override, subject: Subject) -> Override:
    if subject.is_account(entry.account_id):
        return replace(entry, account_id=subject.tombstone, reason=GONE)
    return replace(entry, by=subject.person(entry.by), reason=subject.without(entry.reason))


def _draw(entry: Draw, subject: Subject) -> Draw:
    return replace(entry, assignments=tuple(_assigned(one, subject) for one in entry.assignments))


def _assigned(one: Assignment, subject: Subject) -> Assignment:
    if subject.is_account(one.account_id):
        return replace(one, account_id=subject.tombstone)
    return one if one.owner is None else replace(one, owner=subject.person(one.owner))


def _in_ledger(path: Path, subject: Subject, *, do: bool) -> int:
    if subject.kind != "account" or not path.exists():
        return 0
    after, other_after = f", {json.dumps(subject.name)}]", ", null]"

    def change(record: Record) -> Record:
        # Where a write-back stopped is a place between accounts, whose name need not be one.
        return replace(
            record,
            delivery=record.delivery.replace(after, other_after),
            told=tuple(_key(key, subject) for key in record.told),
        )

    with opened_ledger(path) as ledger:
        changed = [change(one) for one in ledger.records]
        count = sum(one != was for one, was in zip(changed, ledger.records, strict=True))
        if do and count:
            ledger.rewrite(path, changed)
    return count


def told_parts(key: str) -> list[str]:
    """Split what was told into its kind, its account, whose id may hold colons, and the rest.

    Examples
    --------
    >>> told_parts("entered:org:A-1:2025-05-01")
    ['entered', 'org:A-1', '2025-05-01']
    """
    kind, _, rest = key.partition(":")
    return [kind, *rest.rsplit(":", 2 if kind == "renewal" else 1)]


def _key(key: str, subject: Subject) -> str:
    kind, account, *others = told_parts(key)
    return ":".join([kind, subject.tombstone, *others]) if subject.is_account(account) else key


def _users(project: Project, subject: Subject, *, do: bool) -> int:
    """Take the person out of the users, and out of whose accounts others see."""
    path = users_path(project)
    if not path.exists():
        return 0
    count = 0
    with UsersFile(path).changing() as users:
        for name, user in list(users.items()):
            owners = user.owners and frozenset(subject.person(one) for one in user.owners)
            is_gone = subject.person(name) != name
            count += is_gone or owners != user.owners
            if do and is_gone:
                del users[name]
            elif do:
                users[name] = replace(user, owners=owners)
    return count


def _tokens(project: Project, subject: Subject, *, do: bool) -> int:
    file = tokens_file(project)
    if not file.path.exists():
        return 0
    theirs = [one for one in file.tokens().values() if subject.person(one.user) != one.user]
    made = [one for one in file.tokens().values() if subject.person(one.made_by) != one.made_by]
    if do:
        for name in {one.user for one in theirs}:
            revoke_all_of(file, name)
        with file.changing() as held:
            for one in made:
                if one.id in held:
                    held[one.id] = replace(one, made_by=subject.tombstone)
    return len({one.id for one in (*theirs, *made)})
