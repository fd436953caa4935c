"""List the tests that last, as measured: ``python tests/lasting.py RESULTS.xml [--add]``."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from xml.etree import ElementTree

MOST_SECONDS = 0.2
LIST = Path(__file__).with_name("lasting.txt")


def lasting(results: Path) -> set[str]:
    """Name the test functions one of whose cases took longer, with what it set up."""
    names = set()
    for case in ElementTree.parse(results).iter("testcase"):
        place, name = case.get("classname", ""), case.get("name", "")
        if float(case.get("time", 0)) > MOST_SECONDS and place.startswith("tests."):
            # Values of a case, and the group that workers are handed, follow the function's name.
            function = re.split(r"[\[@]", name)[0]
            module, dot, of_class = place.partition(".Test")
            within = f"Test{of_class}::" if dot else ""
            names.add(f"{module.replace('.', '/')}.py::{within}{function}")
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="what pytest --junitxml wrote")
    parser.add_argument("--add", action="store_true", help="keep what is listed")
    asked = parser.parse_args()
    names = lasting(asked.results)
    if asked.add:
        names |= set(LIST.read_text("utf-8").split())
    LIST.write_text("".join(f"{name}\n" for name in sorted(names)), encoding="utf-8")


if __name__ == "__main__":
    main()
