"""How a night grows with what is old, and with what is new, at the same accounts: processor time.

Old events are repeated at other moments of the same day, so that users, features and days are as
they were and rows are many more; new days come in a file each.
"""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import duckdb
from _scale_night import EVENTS, QUICK_TAUGHT_ON, night, prepare, taken_back

TIMES_OLD, NEW_DAYS = (4, 17), (1, 2, 4, 8)
QUICK_TIMES_OLD, QUICK_NEW_DAYS = (3,), (1, 2)
MOMENT = "occurred_at"


def measure(folder: Path, *, quick: bool) -> dict[str, float | None]:
    """Run nights after a first one, over more and more old events, and more and more new days."""
    last = prepare(folder, 1_000, QUICK_TAUGHT_ON) if quick else prepare(folder, 10_000)
    new_days = QUICK_NEW_DAYS if quick else NEW_DAYS
    new = {f"{days}": _with_new(folder, last, days) for days in new_days}
    _back_together(folder, last)
    times_old = QUICK_TIMES_OLD if quick else TIMES_OLD
    # Once the old events and one new day is what was measured already.
    old = {"1": new["1"]}
    old |= {f"{times}": _with_old(folder, last, times) for times in times_old}
    seconds_new, seconds_old = list(new.values()), list(old.values())
    more = (seconds_new[-1] - seconds_new[0]) / (new_days[-1] - new_days[0])
    return {
        "night_growth_old": seconds_old[-1] / seconds_old[0],
        "night_growth_new": seconds_new[-1] / seconds_new[0],
        "night_seconds_of_a_day": more,
        **{f"night_cpu_old_{times}_times": seconds for times, seconds in old.items()},
        **{f"night_cpu_new_{days}_days": seconds for days, seconds in new.items()},
    }


def _with_old(folder: Path, last: date, times: int) -> float:
    """Repeat the old events so many times, run a night over them and one with the new day."""
    place = taken_back(folder, last)
    source, kept_as = folder / "data" / EVENTS, folder / "once"
    if not kept_as.exists():
        shutil.move(source, kept_as)
    shutil.rmtree(source, ignore_errors=True)
    with duckdb.connect() as engine:
        for file in sorted(kept_as.glob("*/part-0.parquet")):
            into = source / file.parent.name
            into.mkdir(parents=True)
            # A moment of the day for each row and time over, the same whenever it is asked for.
            moment = (
                f"CASE WHEN n = 0 THEN {MOMENT} ELSE date_trunc('day', {MOMENT})"
                f" + to_microseconds((hash({MOMENT}, user_id, n) % 86400000000)::BIGINT) END"
            )
            engine.execute(
                f"COPY (SELECT e.* REPLACE ({moment} AS {MOMENT}) FROM read_parquet('{file}',"
                f" hive_partitioning = false) AS e, range({times}) AS r(n))"
                f" TO '{into}/part-0.parquet'"
            )
    night(folder)
    shutil.copy(folder / "last_day.parquet", place / "part-1.parquet")
    return night(folder, "--force")["cpu"]


def _with_new(folder: Path, last: date, days: int) -> float:
    """Take so many days out, run a night, put them back in files of their own and run another."""
    place = _back_together(folder, last)
    old, waiting = place / "part-0.parquet", folder / "waiting"
    shutil.rmtree(waiting, ignore_errors=True)
    waiting.mkdir()
    whole = folder / "whole.parquet"
    shutil.copy(old, whole)
    read = f"read_parquet('{whole}', hive_partitioning = false)"
    with duckdb.connect() as engine:
        until = f"DATE '{last}' - {days - 1}"
        for back in range(1, days):
            engine.execute(
                f"COPY (SELECT * FROM {read} WHERE {MOMENT}::DATE = DATE '{last}' - {back})"
                f" TO '{waiting}/part-{back + 1}.parquet'"
            )
        engine.execute(f"COPY (SELECT * FROM {read} WHERE {MOMENT} < {until}) TO '{old}'")
    night(folder)
    shutil.copy(folder / "last_day.parquet", place / "part-1.parquet")
    for file in waiting.iterdir():
        shutil.move(file, place / file.name)
    return night(folder, "--force")["cpu"]


def _back_together(folder: Path, last: date) -> Path:
    """Undo what :func:`_with_new` did."""
    place, whole = taken_back(folder, last), folder / "whole.parquet"
    for file in place.glob("part-[2-9].parquet"):
        file.unlink()
    if whole.exists():
        shutil.move(whole, place / "part-0.parquet")
    return place
