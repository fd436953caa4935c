"""Whether a training will fit into the memory that is left, said before it begins."""

from __future__ import annotations

import re
from pathlib import Path

from features.errors import SettingsError

# Measured: 808,533 rows of 41 signals took 6.1 GiB at most, the rows themselves included.
BYTES_PER_VALUE = 180
GIB = 2**30
MEMINFO = Path("/proc/meminfo")
LIMIT, USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


def refuse_too_large(
    rows: int, signals: int, *, meminfo: Path = MEMINFO, limit: Path = LIMIT, used: Path = USED
) -> None:
    """Stop before a training that the machine would kill.

    Parameters
    ----------
    rows, signals : int
        What is to be learnt from.
    meminfo, limit, used : Path
        Where the system tells of its memory, and a container of its own.

    Raises
    ------
    SettingsError
        When more is needed than is left; nothing is refused where nobody can tell.
    """
    left = memory_left(meminfo, limit, used)
    needed = rows * signals * BYTES_PER_VALUE
    if left is None or needed <= left:
        return
    raise SettingsError(
        f"Training on {rows:,} rows of {signals} signals takes about {needed / GIB:.1f} GiB of"
        f" memory, and {left / GIB:.1f} GiB are free; set [outcome] first_observation to a later"
        " date, or train on a machine with more memory"
    )


def memory_left(meminfo: Path = MEMINFO, limit: Path = LIMIT, used: Path = USED) -> int | None:
    """Tell the bytes that this process may still take; None where the system does not say."""
    bounds = []
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", _text(meminfo), re.MULTILINE)
    if found:
        bounds.append(1024 * int(found[1]))
    most, taken = _text(limit).strip(), _text(used).strip()
    # The limit of a container without one is the word "max".
    if most.isdigit() and taken.isdigit():
        bounds.append(int(most) - int(taken))
    return min(bounds, default=None)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""
