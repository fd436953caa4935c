"""The plan of the rooms: how many entries a folder has, and that no imports run in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("features", "models", "pipelines")
MOST_ENTRIES = 12
# A floor for each capability, and the command line on top of them.
ROOMY = {"pipelines": 14}
ASSETS = {"static", "templates"}

Texts = Mapping[str, str]


def module_texts() -> dict[str, str]:
    """Read every module: dotted name to source; a package is its ``__init__``."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text("utf-8")
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def imported(text: str) -> set[str]:
    """List the dotted names a module imports anywhere: inside functions, and for types alone."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@cache
def project_arrows() -> dict[str, set[str]]:
    return arrows(module_texts())


def arrows(texts: Texts) -> dict[str, set[str]]:
    """Return which of the modules each module imports."""
    known = {module.removesuffix(".__init__"): module for module in texts}
    targets: dict[str, set[str]] = {}
    for module, text in texts.items():
        targets[module] = set()
        for dotted in imported(text):
            while dotted and dotted not in known:
                dotted = dotted.rpartition(".")[0]
            if dotted:
                targets[module].add(known[dotted])
        targets[module].discard(module)
    return targets


def room_of(module: str) -> str:
    """Return the folder of a module; a file directly in one of the packages is a room itself."""
    folder = module.rpartition(".")[0]
    return module if folder in PACKAGES else folder


def between_rooms(files: Mapping[str, set[str]]) -> dict[str, set[str]]:
    rooms: dict[str, set[str]] = {}
    for module, targets in files.items():
        room = room_of(module)
        rooms.setdefault(room, set()).update(room_of(target) for target in targets)
        rooms[room].discard(room)
    return rooms


def circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the members of one circle, each importing the next, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def entries(folder: Path) -> list[str]:
    return sorted(
        each.name
        for each in folder.iterdir()
        if not each.name.startswith(("_", ".")) and (each.is_dir() or each.suffix == ".py")
    )


def test_no_file_imports_itself_through_others() -> None:
    assert circle(project_arrows()) == []


def test_no_room_imports_itself_through_others() -> None:
    assert circle(between_rooms(project_arrows())) == []


def test_no_folder_has_more_entries_than_can_be_taken_in() -> None:
    folders = [ROOT / package for package in PACKAGES]
    folders += [
        each
        for package in PACKAGES
        for each in sorted((ROOT / package).rglob("*"))
        if each.is_dir() and not each.name.startswith("_") and not ASSETS & set(each.parts)
    ]
    crowded = {
        each.relative_to(ROOT).as_posix(): listed
        for each in folders
        if len(listed := entries(each)) > ROOMY.get(each.relative_to(ROOT).as_posix(), MOST_ENTRIES)
    }
    assert crowded == {}


def test_every_room_says_what_it_is() -> None:
    silent = [
        module
        for module, text in module_texts().items()
        if module.endswith(".__init__") and not (ast.get_docstring(ast.parse(text)) or "").strip()
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"models.a.x": "import models.b.y", "models.b.y": "import os"}, set()),
        (
            {
                "models.a.x": "from models.b.y import f",
                "models.b.y": "def f():\n    from models.a import x",
            },
            {"models.a.x", "models.b.y"},
        ),
        (
            {
                "models.a.x": "if TYPE_CHECKING:\n    import models.a.z",
                "models.a.z": "from models.a.x import f",
            },
            {"models.a.x", "models.a.z"},
        ),
    ],
)
def test_a_circle_of_files_is_seen(texts: Texts, expected: set[str]) -> None:
    assert set(circle(arrows(texts))) == expected


def test_a_circle_of_rooms_is_seen() -> None:
    texts = {
        "models.a.x": "import models.b.y",
        "models.b.y": "",
        "models.b.z": "import models.a.w",
        "models.a.w": "",
    }
    assert circle(arrows(texts)) == []
    assert set(circle(between_rooms(arrows(texts)))) == {"models.a", "models.b"}
