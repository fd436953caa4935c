"""What does it cost to grow: nights, training, start-up and the store, per key figure?

    python benchmarks/scale.py [--quick] [--json] [--only NAME ...]

``store_mb_per_million``  megabytes that a run adds to a DuckDB store, for a million accounts

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

PARTS = ("store",)
Figures = dict[str, float | None]


def measured(part: str, *, quick: bool) -> Figures:
    """Measure one part in a process of its own."""
    with tempfile.TemporaryDirectory(prefix=f"scale-{part}-") as scratch:
        command = [sys.executable, __file__, "--part", part, scratch]
        done = subprocess.run(
            [*command, *(["--quick"] if quick else [])], stdout=subprocess.PIPE, check=True
        )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one object of figures on stdout")
    parser.add_argument("--quick", action="store_true", help="small companies, to see that it runs")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="NAME")
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part:
        part, folder = asked.part
        sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
        measure = importlib.import_module(f"_scale_{part}").measure
        print(json.dumps(measure(Path(folder), quick=asked.quick)))
        return
    figures: Figures = {}
    for part in asked.only:
        figures |= measured(part, quick=asked.quick)
    if asked.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<32}{'not measured' if value is None else f'{value:>14,.3f}'}")


if __name__ == "__main__":
    main()
