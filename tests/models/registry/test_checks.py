"""Checks on record: one after the other, whole or not at all, one of two at the same time."""

from __future__ import annotations

from datetime import date

import pytest
from mlflow import MlflowClient

from features.errors import RegistryError
from models.registry.checks import (
    monitor_records,
    next_place,
    note_retraining,
    record_check,
)
from models.registry.models import Registry
from models.registry.session import tracking

NAME = "health"
HOSTILE = "<script>alert(1)</script>\u202e=HYPERLINK("


@pytest.fixture
def place(registered, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    facts = Registry(registered, NAME).champion()
    version = facts.version
    return registered, facts.run_id, version


def keep(place, number, day=date(2026, 3, 1), **told):
    folder, run, version = place
    facts = {"status": "watch", "reasons": (HOSTILE,), "drifted": ((HOSTILE, "all"),)}
    facts |= {"found": {"figure": float("nan"), "day": day}} | told
    return record_check(folder, NAME, run, number, as_of=day, model_version=version, **facts)


def test_checks_line_up_and_of_two_at_once_one_is_kept(place) -> None:
    folder, run, version = place
    first_place = next_place(folder, NAME, run)
    assert first_place == 1
    assert monitor_records(folder, NAME) == []

    first = keep(place, 1)
    assert (first.number, first.as_of, first.model_version) == (1, date(2026, 3, 1), version)
    assert next_place(folder, NAME, run) == 2

    # Both began when one check was on record.
    second = keep(place, 2, date(2026, 4, 1), status="retrain")
    with pytest.raises(RegistryError) as late:
        keep(place, 2, date(2026, 4, 2))
    assert str(late.value) == (
        f"Another check of this champion, of 2026-04-01 on '{second.host}', was recorded while"
        " this one of 2026-04-02 ran; this one was not recorded and nothing was done about it: run"
        " again if it is still wanted."
    )
    assert monitor_records(folder, NAME) == [second, first]
    assert monitor_records(folder, NAME)[1].reasons == (HOSTILE,)
    assert monitor_records(folder, NAME)[1].drifted == ((HOSTILE, "all"),)

    note_retraining(folder, NAME, second, challenger="7", promoted=False)
    newest = monitor_records(folder, NAME)[0]
    assert (newest.challenger, newest.promoted) == ("7", False)
    note_retraining(folder, NAME, second, challenger=None, promoted=False)
    newest = monitor_records(folder, NAME)[0]
    assert (newest.challenger, newest.promoted) == (None, False)
    assert monitor_records(folder, NAME, limit=1) == [newest]

    # The registry still serves whom it served.
    assert Registry(folder, NAME).champion().version == version


@pytest.mark.parametrize("step", ["log_text", "log_param", "set_terminated"])
def test_who_is_killed_on_the_way_leaves_nothing_that_is_read(place, monkeypatch, step) -> None:
    folder, run, _ = place
    before, number = monitor_records(folder, NAME), next_place(folder, NAME, run)

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, step, die)
        with pytest.raises(Killed):
            keep(place, number)
    assert monitor_records(folder, NAME) == before
    # The next check finds a place of its own, also where the killed one had taken one.
    after = keep(place, next_place(folder, NAME, run))
    assert monitor_records(folder, NAME) == [after, *before]


def test_a_check_whose_file_is_damaged_is_left_out(place) -> None:
    folder, run, _ = place
    before = monitor_records(folder, NAME)
    damaged = keep(place, next_place(folder, NAME, run))
    with tracking(folder, NAME, create=False):
        MlflowClient().log_text(damaged.run_id, "{", "monitor.json")
    assert monitor_records(folder, NAME) == before
