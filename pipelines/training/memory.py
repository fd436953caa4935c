"""How much memory a training will take, and whether it is there: said before it begins."""

from __future__ import annotations

import re
from pathlib import Path

from features.errors import SettingsError

# What is taken beside the coded rows: of each value the bins of LightGBM, and room to build them;
# of each row the margins of all shapes that are tried, outcomes, positions and keys; whatever the
# rows, the libraries, the design that is kept and the sample that curvature is read from. The last
# is measured: see docs/measurements.md.
BYTES_PER_ROW, BYTES_PER_VALUE, BYTES = 650, 3, 950 * 2**20
GIB = 2**30
MEMINFO = Path("/proc/meminfo")
LIMIT, USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


def memory_needed(rows: int, signals: int) -> int:
    """Bytes that a training takes beside the rows themselves, which are there when it begins."""
    return BYTES + rows * (BYTES_PER_ROW + signals * BYTES_PER_VALUE)


def memory_told(rows: int, signals: int, held: int) -> str:
    """Say how much a training will take.

    Parameters
    ----------
    rows, signals : int
        What is to be learnt from.
    held : int
        Bytes of the coded rows.
    """
    whole = held + memory_needed(rows, signals)
    return (
        f"{rows:,} rows of {signals} signals in {held / GIB:.2f} GiB of codes, about"
        f" {whole / GIB:.1f} GiB with all that is made of them"
    )


def refuse_too_large(
    rows: int,
    signals: int,
    held: int,
    *,
    meminfo: Path = MEMINFO,
    limit: Path = LIMIT,
    used: Path = USED,
) -> None:
    """Stop before a training that the machine would kill.

    Parameters
    ----------
    rows, signals, held : int
        As for :func:`memory_told`.
    meminfo, limit, used : Path
        Where the system tells of its memory, and a container of its own.

    Raises
    ------
    SettingsError
        When more is needed than is left; nothing is refused where nobody can tell.
    """
    left = memory_left(meminfo, limit, used)
    needed = memory_needed(rows, signals)
    if left is None or needed <= left:
        return
    raise SettingsError(
        f"Training takes {memory_told(rows, signals, held)}, and {left / GIB:.1f} GiB more are"
        " free; set [outcome] first_observation to a later date, or train on a machine with more"
        " memory"
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
