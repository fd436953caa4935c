from __future__ import annotations

import pytest

from features.errors import SettingsError
from pipelines.training.memory import (
    memory_left,
    memory_needed,
    memory_told,
    refuse_too_large,
)

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
    assert memory_needed(500_000, 75) < 2**31
    refuse_too_large(500_000, 75, 2**40, **told())


def test_what_does_not_fit_is_told_in_one_sentence(told):
    with pytest.raises(SettingsError) as caught:
        refuse_too_large(8_000_000, 75, 2**31, **told())
    assert str(caught.value) == (
        f"Training takes {memory_told(8_000_000, 75, 2**31)}, and 2.0 GiB more are free; set"
        " [outcome] first_observation to a later date, or train on a machine with more memory"
    )


def test_what_is_told_counts_the_rows_themselves():
    whole = (2**31 + memory_needed(8_000_000, 75)) / 2**30
    assert memory_told(8_000_000, 75, 2**31) == (
        f"8,000,000 rows of 75 signals in 2.00 GiB of codes, about {whole:.1f} GiB with all that is"
        " made of them"
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
    refuse_too_large(10**9, 10**3, 0, **paths)
