"""The chain of promotion records: one at a time is added, the champion's alias is moved last.

A record is a run. It joins the chain by a parameter of the record before it, or of the first
version's training run where it is the first: MLflow lets a parameter be written once, so of two
that want the same place one gets it, on any server. The record is written first, the champion's
alias is moved last, and whoever is killed between leaves an unfinished record behind, which the
next command settles by where the alias points.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from features.errors import RegistryError
from models.registry.chain_record import KIND, Action, Record, State, draft, record_of, tags_of
from models.registry.folder import CHAMPION, PREVIOUS, SEAL

NEXT = "healthscore.next."
PAGE = 1000


def move_champion(
    name: str,
    version: str,
    *,
    action: Action,
    reasons: Sequence[str] = (),
    instead_of: str | None = None,
    previous: str | None = None,
) -> Record:
    """Make a version the champion, with a record; inside :func:`models.registry.session.tracking`.

    Parameters
    ----------
    name : str
        Registered model and experiment.
    version : str
        The version to come.
    action : {"train", "promote", "rollback"}
        What it is called in the record.
    reasons : sequence of str
        Why, one sentence each.
    instead_of : str or None
        The champion it was judged against, which must still be the champion.
    previous : str or None
        Who is to be put back by a rollback from it; by default the champion of now. A rollback
        names it, or leaves nobody.

    Raises
    ------
    RegistryError
        When another promotion is under way or came first, or the version is the champion already.
    """
    client = MlflowClient()
    chain, number = _chain(client, name)
    rival = next((record for record in chain if record.is_under_way), None)
    if rival is not None:
        raise RegistryError(
            f"Version {rival.version} of {name!r} is just now made the champion by {rival.by!r} on "
            f"{rival.host!r}; wait for it and run again."
        )
    aliases = aliases_of(name)
    before = aliases.get(CHAMPION)
    if before == version:
        raise RegistryError(
            f"Version {version} of {name!r} is the champion already; 'healthscore history' lists "
            "the others."
        )
    if instead_of is not None and before != instead_of:
        raise RegistryError(
            f"Version {version} of {name!r} was judged against version {instead_of}, but version "
            f"{before} became the champion meanwhile; it stays as it is: run again to be judged "
            "against the champion of now."
        )
    seal = client.get_model_version(name, version).tags.get(SEAL)
    drafted = draft(number, action, version, aliases, reasons, seal)
    record = _appended(client, name, chain, drafted)
    _point(client, name, PREVIOUS, previous if action == "rollback" else before)
    if client.get_run(record.run_id).data.tags.get("healthscore.state") is not None:
        raise RegistryError(
            f"The promotion of version {version} of {name!r} took so long that another command "
            "gave it up; run again."
        )
    client.set_registered_model_alias(name, CHAMPION, version)
    return _closed(client, record, "done")


def note_rejection(name: str, version: str, reasons: Sequence[str]) -> Record:
    """Record that a challenger was not promoted.

    Inside :func:`models.registry.session.tracking`.
    """
    client = MlflowClient()
    chain, number = _chain(client, name)
    seal = client.get_model_version(name, version).tags.get(SEAL)
    drafted = draft(number, "reject", version, aliases_of(name), reasons, seal)
    return _closed(client, _appended(client, name, chain, drafted), "done")


def recovered_chain(name: str) -> list[Record]:
    """Read the chain, oldest first, and close what somebody was killed in the middle of.

    Inside :func:`models.registry.session.tracking`.
    """
    return _chain(MlflowClient(), name)[0]


def aliases_of(name: str) -> dict[str, str]:
    """Read which version each alias of a registered model names."""
    found = MlflowClient().get_registered_model(name).aliases
    return {alias: str(version) for alias, version in found.items()}


def predecessor(chain: Iterable[Record], version: str) -> str | None:
    """Name the champion that a version first took the place of; None where there was none."""
    led = [
        record
        for record in chain
        if record.version == version
        and record.state == "done"
        and record.action in ("train", "promote")
    ]
    return led[0].before if led else None


def _chain(client: MlflowClient, name: str) -> tuple[list[Record], int]:
    """Read and settle the chain; and the number of the record to come."""
    chain, number = _read(client, name)
    for place, record in enumerate(chain):
        if record.state == "open" and not record.is_under_way:
            chain[place] = _settled(client, name, record)
    return chain, number


def _settled(client: MlflowClient, name: str, record: Record) -> Record:
    aliases = aliases_of(name)
    if record.action == "reject" or aliases.get(CHAMPION) == record.version:
        return _closed(client, record, "done")
    # Nobody has been champion since, so that what it had changed can be put back.
    if aliases.get(CHAMPION) == record.before and aliases.get(PREVIOUS) != record.earlier:
        _point(client, name, PREVIOUS, record.earlier)
    return _closed(client, record, "abandoned")


def _appended(client: MlflowClient, name: str, chain: list[Record], record: Record) -> Record:
    """Write a record as a run and give it the chain's next place, or say who got it."""
    experiment = mlflow.get_experiment_by_name(name)
    if experiment is None:
        raise RegistryError(
            f"The experiment {name!r} that champions are logged in is gone from the registry; "
            "train again with 'healthscore train'."
        )
    last = chain[-1] if chain else None
    if last is not None and record.made_at < last.made_at:
        said = (
            f"The clock of {record.host!r} stood at {record.made_at:%Y-%m-%d %H:%M} UTC, before "
            f"the record above it ({last.made_at:%Y-%m-%d %H:%M})."
        )
        record = replace(record, reasons=(*record.reasons, said))
    run = client.create_run(
        experiment.experiment_id, tags=tags_of(record), run_name=f"{KIND} {record.number}"
    )
    record = replace(record, run_id=str(run.info.run_id))
    holder = last.run_id if last else _first_run(client, name)
    key = f"{NEXT}{record.number}"
    try:
        client.log_param(holder, key, record.run_id)
    except MlflowException:
        winner = client.get_run(holder).data.params.get(key)
        if winner is None:
            raise
        _closed(client, record, "abandoned")
        first = record_of(client.get_run(winner))
        raise RegistryError(
            f"Version {first.version} of {name!r} came first: {first.by!r} on {first.host!r} "
            f"decided about it at the same moment; look at 'healthscore history' and run again."
        ) from None
    return record


def _read(client: MlflowClient, name: str) -> tuple[list[Record], int]:
    """Read the records that have a place in the chain, oldest first, and the next number.

    A deleted record is left out, but its number is not given again: it is spoken for where the
    next one hangs on.
    """
    experiment = mlflow.get_experiment_by_name(name)
    if experiment is None:
        return [], 1
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs(
            [experiment.experiment_id],
            f"tags.`healthscore.kind` = '{KIND}'",
            run_view_type=ViewType.ALL,
            max_results=PAGE,
            page_token=token,
        )
        runs += page
        token = page.token
        if not token:
            break
    if not runs:
        return [], 1
    holders = [*runs, client.get_run(_first_run(client, name))]
    placed = {
        value for run in holders for key, value in run.data.params.items() if key.startswith(NEXT)
    }
    found = [(record_of(run), run.info.lifecycle_stage == "active") for run in runs]
    # What was done had its place, also where the version that the first one hung on is deleted.
    found = [pair for pair in found if pair[0].run_id in placed or pair[0].state == "done"]
    found.sort(key=lambda pair: pair[0].number)
    return [record for record, active in found if active], 1 + max(
        (record.number for record, _ in found), default=0
    )


def _first_run(client: MlflowClient, name: str) -> str:
    """Name the training run of a model's first version, which the first record hangs on."""
    found = client.search_model_versions(
        f"name = '{name}'", max_results=1, order_by=["version_number ASC"]
    )
    if not found:
        raise RegistryError(f"No version of {name!r} is in the registry; train a model first.")
    return str(found[0].run_id)


def _closed(client: MlflowClient, record: Record, state: State) -> Record:
    # The tag comes last: without it the next command closes the record again.
    client.set_terminated(record.run_id, "FINISHED" if state == "done" else "KILLED")
    client.set_tag(record.run_id, "healthscore.state", state)
    return replace(record, state=state)


def _point(client: MlflowClient, name: str, alias: str, version: str | None) -> None:
    if version is not None:
        client.set_registered_model_alias(name, alias, version)
    elif alias in aliases_of(name):
        client.delete_registered_model_alias(name, alias)
