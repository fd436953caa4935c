"""What does it cost to grow: nights, training, start-up and the store, per key figure?

    python benchmarks/scale.py [--quick] [--json] [--only NAME ...] [--kills N]

``night_ratio_incremental``  seconds of a night with one day of new events, after another night, as
                          a share of those of a night that reads everything; 100,000 accounts
``night_gib``             most memory of these nights
``night_growth_old``      processor time of a night with one day of new events and 100 million old
                          ones as a multiple of the same with 5.9 million; 10,000 accounts, whose
                          old events are repeated at other moments of their days
``night_growth_new``      that of a night with eight new days as a multiple of one with one new day;
                          ``night_seconds_of_a_day`` what each of the seven more takes
``read_ratio_scan``       processor time of reading and checking a table of 14 million events as a
                          multiple of one scan that counts every column and finds its least and
                          greatest value
``panes_ratio_scan``      that of all signals of this table, ``panes`` and what is put together from
                          them, as a multiple of the same scan
``train_gib_per_million_rows``  memory that a million rows more take to be learnt from;
                          ``train_gib_of_first`` is what any training takes
``train_ratio_lgb``       seconds of a training as a multiple of those that LightGBM alone needs for
                          as many trees on the same rows; ``train_ratio_final_trees`` the same of
                          the trees of the final model alone
``fit_ratio``             the same of fitting one model
``captured``              share of the true risk of later dates that is captured by all rows, and
                          ``captured_lost_by_a_tenth`` what is lost where a tenth of the rows
                          without the outcome is learnt from
``start_seconds``         seconds of processor time of a night of 1,000 accounts; beside it those
                          of one whose files were checked before, of
                          a check, of ``python -c pass`` and of importing duckdb, ibis and pandas
``store_mb_per_million``  megabytes that a run adds to a DuckDB store, for a million accounts
``ratio_floor_own``       seconds of scoring, explaining and issuing a million accounts as a
                          multiple of those of reading, ``Booster.predict`` of the same 40 trees and
                          writing
``spark_ratio_driver``    seconds of a run that two workers of Spark write as a share of those of
                          one whose rows pass the driver; ``spark_ratio_duckdb`` the same of one
                          process on two cores, ``spark_accounts_apart`` accounts that differ from
                          its; with ``_cpu`` in seconds of processor, with ``_four`` of four
                          workers. ``spark_STEP_cpu_per_million`` is what a million accounts more
                          take, ``spark_job_of_any_job`` what a job takes before, and
                          ``spark_commit_ms`` the driver at the end. With ``--kills N`` rows that
                          are twice or lost after an executor or the driver was killed at N random
                          moments

Each part is a module ``_scale_NAME.py`` whose ``measure(folder, quick)`` returns figures by their
keys; it runs in a process of its own, in a scratch folder that is taken away afterwards.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

PARTS = ("night", "growth", "reading", "store", "floor", "training", "spark", "start")
Figures = dict[str, float | None]


def measured(part: str, *, quick: bool, kills: int) -> Figures:
    """Measure one part in a process of its own."""
    with tempfile.TemporaryDirectory(prefix=f"scale-{part}-") as scratch:
        command = [sys.executable, __file__, "--part", part, scratch]
        command += ["--kills", str(kills), *(["--quick"] if quick else [])]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one object of figures on stdout")
    parser.add_argument("--quick", action="store_true", help="small companies, to see that it runs")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="NAME")
    parser.add_argument("--kills", type=int, default=0, metavar="N", help="of Spark; 0")
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part:
        part, folder = asked.part
        sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
        measure = importlib.import_module(f"_scale_{part}").measure
        more = {"kills": asked.kills} if part == "spark" else {}
        print(json.dumps(measure(Path(folder), quick=asked.quick, **more)))
        return
    figures: Figures = {}
    for part in asked.only:
        figures |= measured(part, quick=asked.quick, kills=asked.kills)
    if asked.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<32}{'not measured' if value is None else f'{value:>14,.3f}'}")


if __name__ == "__main__":
    main()
