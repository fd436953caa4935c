"""Everything that is known of an account, as its people may ask for it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import DataError, RegistryError, SettingsError, sample
from features.json_values import json_records
from pipelines.plays.experiment.assign import ledger_of
from pipelines.portfolio.outbox.ledger import opened_ledger
from pipelines.project.erase.records import told_parts
from pipelines.project.erase.subject import Subject
from pipelines.project.erase.tables import source_texts
from pipelines.project.records.calls import call_book
from pipelines.project.records.overrides import override_book
from pipelines.project.settings.score import MAIN
from pipelines.reports.terminal.whole_file import replaced_whole
from pipelines.store.issued import reasons_note
from pipelines.store.opening import open_store
from pipelines.store.runs import NoStore
from pipelines.store.schema import SHOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.project.project import Project

Rows = list[dict[str, object]]


@dataclass(frozen=True)
class Known:
    """What is known of an account.

    Parameters
    ----------
    account_id : str
        Which one.
    rows : dict of str to list
        Rows and entries by where they are.
    notes : list of str
        What could not be read, a sentence each.
    """

    account_id: str
    rows: dict[str, Rows]
    notes: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many rows there are of each."""
        return {what: len(rows) for what, rows in self.rows.items()}


def known_of(project: Project, account_id: str) -> Known:
    """Gather what is known of an account: tables, scores, what was done, tests of models.

    Raises
    ------
    DataError
        When nothing is.
    StoreError
        When the store or a record cannot be read.
    """
    known = Known(account_id, {})
    try:
        texts = source_texts(project, Subject("account", account_id, (), ""))
        known.rows.update({f"table {name}": rows for name, rows in texts.items()})
    except DataError as error:
        known.notes.append(f"What the tables hold could not be read: {error}")
    kept: dict[str, Rows] = {
        "scores": list(_scores(project, account_id)),
        "calls": [
            dict(one.to_dict())
            for one in call_book(project.folder).entries()
            if one.account_id == account_id
        ],
        "overrides": [
            dict(one.to_dict())
            for one in override_book(project.folder).entries()
            if one.account_id == account_id
        ],
        "experiments": [
            {"experiment": draw.experiment, "as_of": draw.as_of, **one.to_dict()}
            for draw in ledger_of(project).draws()
            for one in draw.assignments
            if one.account_id == account_id
        ],
        "digests": list(_digests(project, account_id)),
        "tests of models": list(_tested(project, account_id)),
    }
    known.rows.update({what: rows for what, rows in kept.items() if rows})
    if not known.rows:
        raise DataError(f"Nothing is known of the account {sample([account_id])}; correct its id")
    return known


def write_known(known: Known, file: Path) -> None:
    """Write it as JSON, for the eyes of its owner alone.

    Raises
    ------
    SettingsError
        When the file's name ends otherwise.
    """
    if file.suffix.lower() != ".json":
        raise SettingsError(
            f"What is known of an account is written as .json, and {sample([file.name])} is none;"
            " name another file with --out"
        )
    told = {"account_id": known.account_id, **known.rows, "notes": known.notes}
    with replaced_whole(file) as fresh:
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(told, indent=1, default=str), encoding="utf-8")


def _scores(project: Project, account_id: str) -> Iterator[dict[str, object]]:
    try:
        with open_store(project, read_only=True) as store:
            erasures = store.erasures()
            for run in store.runs():
                let_go = reasons_note(erasures, run)
                rows = store.scores(run, accounts=[account_id], columns=SHOWN)
                for row in rows.read_all().to_pylist():
                    yield {
                        "outcome": run.key.outcome,
                        "as_of": run.key.as_of,
                        "model_version": run.key.model_version,
                        "revision": run.revision,
                        "issued_at": run.issued_at,
                        **row,
                        **({"let_go": let_go} if let_go else {}),
                    }
    except NoStore:
        return


def _digests(project: Project, account_id: str) -> Iterator[dict[str, object]]:
    path = project.folder / project.settings.digest.ledger
    if path.exists():
        with opened_ledger(path) as ledger:
            for one in ledger.records:
                told = [key for key in one.told if told_parts(key)[1] == account_id]
                if told:
                    yield {"at": one.at, "state": one.state, "told": told}


def _tested(project: Project, account_id: str) -> Iterator[dict[str, object]]:
    from pipelines.monitor.champions import history

    for outcome in (MAIN, *project.settings.outcomes):
        of = project.for_outcome(outcome)
        try:
            versions = [one.version for one in history(of).versions]
        except RegistryError:
            continue
        for version in versions:
            try:
                rows = of.registry.holdout(version, everything=True)
            except RegistryError:
                continue
            named = {"model": of.settings.registry.model_name, "version": version}
            for row in json_records(rows[rows["account_id"] == account_id]):
                yield {**named, **row}
