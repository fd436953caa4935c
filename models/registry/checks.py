"""Checks of a champion, kept in the registry one after the other.

A check is a run. It counts once it has a place among the champion's checks and is finished. Its
place is a parameter of the champion's own run, and MLflow lets a parameter be written once: of two
checks that began at the same time, one gets the place. What was killed on the way never finished,
and is read by nobody.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from features.errors import RegistryError
from features.json_values import Json, JsonReady
from models.registry.session import tracking

KIND, FILE = "monitor", "monitor.json"
PLACE = "healthscore.monitor."
NEWEST = 36
"""So many earlier checks are read: three years of months, or a month of days."""
# Older servers take tags of 5,000 characters.
LONGEST_NOTE = 4000


@dataclass(frozen=True)
class MonitorRecord(JsonReady):
    """One check of a champion.

    Attributes
    ----------
    number : int
        Its place among the checks of this version, from 1, whatever the clocks said.
    made_at : datetime
        When, in UTC, by the machine's clock.
    host : str
        The machine.
    as_of : date
        The date that was looked at.
    model_version : str
        The champion.
    status : str
        What was decided.
    reasons : tuple of str
        Why.
    drifted : tuple of (str, str)
        Signal and segment of what had moved.
    challenger : str or None
        The version that was trained because of it.
    promoted : bool or None
        Whether it became the champion; None where none was judged.
    run_id : str
        Its run.
    """

    number: int
    made_at: datetime
    host: str
    as_of: date
    model_version: str
    status: str
    reasons: tuple[str, ...]
    drifted: tuple[tuple[str, str], ...] = ()
    challenger: str | None = None
    promoted: bool | None = None
    run_id: str = field(default="", compare=False)

    def to_dict(self) -> Json:
        """Return a JSON-ready description."""
        return super().to_dict() | {"made_at": self.made_at.isoformat(timespec="seconds")}


def next_place(folder: Path, name: str, model_run: str) -> int:
    """Say which place the next check of a champion would get.

    Parameters
    ----------
    folder, name
        As for :func:`models.registry.models.Registry`.
    model_run : str
        The run that taught the champion.
    """
    with tracking(folder, name, create=False):
        return _last_place(MlflowClient(), model_run) + 1


def record_check(
    folder: Path,
    name: str,
    model_run: str,
    place: int,
    *,
    as_of: date,
    model_version: str,
    status: str,
    reasons: tuple[str, ...],
    drifted: tuple[tuple[str, str], ...],
    found: Mapping[str, object],
) -> MonitorRecord:
    """Keep a check, whole or not at all.

    Parameters
    ----------
    folder, name, model_run
        As for :func:`next_place`.
    place : int
        What :func:`next_place` said before the check began.
    as_of, model_version, status, reasons, drifted
        See :class:`MonitorRecord`.
    found : mapping
        All that was found, JSON-ready.

    Raises
    ------
    RegistryError
        When another check was kept in the meantime, or MLflow refuses.
    """
    record = MonitorRecord(
        number=place,
        made_at=datetime.now(UTC).replace(microsecond=0),
        host=socket.gethostname(),
        as_of=as_of,
        model_version=model_version,
        status=status,
        reasons=reasons,
        drifted=drifted,
    )
    with tracking(folder, name, create=False):
        client = MlflowClient()
        experiment = client.get_run(model_run).info.experiment_id
        run = client.create_run(experiment, tags=_tags(record), run_name=f"{KIND} {as_of}")
        run_id = str(run.info.run_id)
        kept = {"record": record.to_dict(), "found": dict(found)}
        client.log_text(run_id, json.dumps(kept, default=_as_json), FILE)
        try:
            client.log_param(model_run, f"{PLACE}{place}", run_id)
        except MlflowException:
            client.set_terminated(run_id, "KILLED")
            winner = client.get_run(model_run).data.params.get(f"{PLACE}{place}")
            if winner in (None, run_id):
                raise
            raise RegistryError(_came_second(client, winner, as_of)) from None
        client.set_terminated(run_id, "FINISHED")
    return replace(record, run_id=run_id)


def note_retraining(
    folder: Path, name: str, record: MonitorRecord, *, challenger: str | None, promoted: bool
) -> None:
    """Add to a kept check what came of the retraining it led to."""
    with tracking(folder, name, create=False):
        client = MlflowClient()
        client.set_tag(record.run_id, "healthscore.promoted", str(promoted).lower())
        client.set_tag(record.run_id, "healthscore.challenger", challenger or "")


def monitor_records(folder: Path, name: str, limit: int = NEWEST) -> list[MonitorRecord]:
    """Read the newest checks of a model's champions, the newest first.

    Those whose file is gone or cannot be read are left out.

    Raises
    ------
    RegistryError
        When the registry cannot be read.
    """
    with tracking(folder, name, create=False):
        experiment = mlflow.get_experiment_by_name(name)
        if experiment is None:
            return []
        runs = MlflowClient().search_runs(
            [experiment.experiment_id],
            f"tags.`healthscore.kind` = '{KIND}' and attributes.status = 'FINISHED'",
            max_results=limit,
            order_by=["attributes.start_time DESC"],
        )
        found = [record for run in runs if (record := _read(run)) is not None]
    return sorted(found, key=lambda one: (one.made_at, one.number), reverse=True)


def _last_place(client: MlflowClient, model_run: str) -> int:
    params = client.get_run(model_run).data.params
    taken = [int(key.removeprefix(PLACE)) for key in params if key.startswith(PLACE)]
    return max(taken, default=0)


def _came_second(client: MlflowClient, winner: str, as_of: date) -> str:
    tags = client.get_run(winner).data.tags
    return (
        f"Another check of this champion, of {tags.get('healthscore.as_of')} on"
        f" {tags.get('healthscore.host')!r}, was recorded while this one of {as_of} ran; this one"
        " was not recorded and nothing was done about it: run again if it is still wanted."
    )


def _as_json(value: object) -> object:
    return value.item() if hasattr(value, "item") else str(value)


def _tags(record: MonitorRecord) -> dict[str, str]:
    return {
        "healthscore.kind": KIND,
        "healthscore.as_of": record.as_of.isoformat(),
        "healthscore.status": record.status,
        "healthscore.version": record.model_version,
        "healthscore.host": record.host,
        "mlflow.note.content": "\n\n".join(record.reasons)[:LONGEST_NOTE],
    }


def _read(run: Run) -> MonitorRecord | None:
    run_id, tags = str(run.info.run_id), run.data.tags
    try:
        told = json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/{FILE}"))["record"]
        promoted = tags.get("healthscore.promoted")
        return MonitorRecord(
            number=int(told["number"]),
            made_at=datetime.fromisoformat(told["made_at"]),
            host=str(told["host"]),
            as_of=date.fromisoformat(told["as_of"]),
            model_version=str(int(told["model_version"])),
            status=str(told["status"]),
            reasons=tuple(map(str, told["reasons"])),
            drifted=tuple((str(signal), str(segment)) for signal, segment in told["drifted"]),
            challenger=tags.get("healthscore.challenger") or None,
            promoted=None if promoted is None else promoted == "true",
            run_id=run_id,
        )
    except (MlflowException, OSError, ValueError, TypeError, KeyError):
        return None
