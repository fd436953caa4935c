from __future__ import annotations

import pytest

from features.errors import SettingsError
from pipelines.training.memory import BYTES_PER_VALUE, memory_left, refuse_too_large

MEMINFO = "MemTotal:       24000000 kB\nMemFree:  10 kB\nMemAvailable:    2097152 kB\n"


@pytest.fixture
def told(tmp_path):
    """Write what a system tells, and give the paths."""

    def write(meminfo=MEMINFO, limit=None, used=None):
        texts = {"meminfo": meminfo, "limit": limit, "used": used}
        for name, text in texts.items():
            if text is not None:
                (tmp_path / name).write_text(text)
        return {name: tmp_path / name for name in texts}

    return write


def test_what_fits_passes(told):
    refuse_too_large(2**31 // (10 * BYTES_PER_VALUE), 10, **told())


def test_what_does_not_fit_is_told_in_one_sentence(told):
    with pytest.raises(SettingsError) as caught:
        refuse_too_large(1_000_000, 100, **told())
    assert str(caught.value) == (
        "Training on 1,000,000 rows of 100 signals takes about 16.8 GiB of memory, and 2.0 GiB are"
        " free; set [outcome] first_observation to a later date, or train on a machine with more"
        " memory"
    )


@pytest.mark.parametrize(
    ("limit", "used", "left"),
    [("max", "5", 2**31), ("1000", "400", 600), ("9" * 15, "1", 2**31), ("nonsense", "", 2**31)],
)
def test_a_container_has_a_limit_of_its_own(told, limit, used, left):
    assert memory_left(**told(limit=limit, used=used)) == left


def test_where_nobody_can_tell_nothing_is_refused(told):
    paths = told(meminfo="MemAvailable: lots")
    assert memory_left(**paths) is None
    refuse_too_large(10**9, 10**3, **paths)
