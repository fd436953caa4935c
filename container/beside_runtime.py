"""Print the installed packages that ``healthscore[postgres]`` does not need, one a line.

Run by the interpreter of the environment in question, after everything pinned was installed.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import distribution, distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needed(wanted: Iterable[str]) -> set[str]:
    """Follow requirements, with their extras and markers, to every package they lead to.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        When one of them is not installed.
    """
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(text) for text in wanted]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        found.add(name)
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for text in distribution(name).requires or ():
                further = Requirement(text)
                if further.marker is None or further.marker.evaluate({"extra": extra}):
                    waiting.append(further)
    return found


def main() -> None:
    """Print them."""
    installed = {canonicalize_name(one.metadata["Name"]) for one in distributions()}
    print(*sorted(installed - needed(["healthscore[postgres]"])), sep="\n")


if __name__ == "__main__":
    main()
