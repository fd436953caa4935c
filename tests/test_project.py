"""The project's own rules, each with a planted breach that proves the check can fail."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = ("features", "models", "pipelines")
ALLOWED_IMPORTS = {
    "features": {"features"},
    "models": {"features", "models"},
    "pipelines": {"features", "models", "pipelines"},
}
CODE_LOADERS = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
HEAVY = {"duckdb", "ibis", "lightgbm", "matplotlib", "mlflow", "pandas", "pyarrow", "scipy", "shap"}
HEAVY |= {"numpy", "psycopg", "pyspark", "sklearn"}
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
TEXTS = [
    path
    for folder in (*PACKAGES, "tests", "benchmarks", "docs")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".md", ".html", ".css", ".sql", ".toml"}
]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def nodes_of(text: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(text)))


def imported_packages(text: str) -> set[str]:
    found = set()
    for node in nodes_of(text):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


def arrows_upward(package: str, text: str) -> set[str]:
    return (imported_packages(text) & set(PACKAGES)) - ALLOWED_IMPORTS[package]


def code_from_data(text: str) -> set[str]:
    """Name what would let a model file or a user's text run as code."""
    found = imported_packages(text) & CODE_LOADERS
    for node in nodes_of(text):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found |= {node.func.id} & {"eval", "exec", "compile"}
        elif isinstance(node, ast.Attribute):
            found |= {node.attr} & {"read_pickle", "to_pickle"}
        elif isinstance(node, ast.keyword):
            found |= {str(node.arg)} & {"allow_pickle"}
    return found


def unhashed(requirements: str) -> list[str]:
    entries = re.sub(r"\\\n\s*", "", requirements).splitlines()
    return [
        entry for entry in entries if not re.search(r"==\S+.* ?--hash=sha256:[0-9a-f]{64}", entry)
    ]


def imported_at_start(importtime: str) -> set[str]:
    rows = re.findall(r"^import time:[^|]*\|[^|]*\|\s*(\S+)$", importtime, flags=re.MULTILINE)
    return {name.partition(".")[0] for name in rows}


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {name(path): len(path.read_text("utf-8").splitlines()) for path in SOURCES}
    assert {path: length for path, length in lengths.items() if length > 400} == {}


def test_arrows_point_down_only() -> None:
    upward = {
        name(path): arrows_upward(name(path).partition("/")[0], path.read_text("utf-8"))
        for path in SOURCES
    }
    assert {path: arrows for path, arrows in upward.items() if arrows} == {}


@pytest.mark.parametrize(
    ("package", "text", "expected"),
    [
        ("features", "from models.churn.classifier import ChurnClassifier", {"models"}),
        ("features", "def f():\n    import pipelines.store.opening as store", {"pipelines"}),
        ("models", "from pipelines import config", {"pipelines"}),
        ("models", "from features.catalog import Signal\nfrom . import churn", set()),
        ("pipelines", "import features, models.scoring.scale", set()),
    ],
)
def test_an_upward_arrow_is_seen(package: str, text: str, expected: set[str]) -> None:
    assert arrows_upward(package, text) == expected


def test_no_data_runs_as_code() -> None:
    code = {name(path): code_from_data(path.read_text("utf-8")) for path in SOURCES}
    assert {path: words for path, words in code.items() if words} == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import pickle", {"pickle"}),
        ("from joblib import load", {"joblib"}),
        ("eval(user_text)", {"eval"}),
        ("numpy.load(path, allow_pickle=True)", {"allow_pickle"}),
        ("frame.to_pickle(path)", {"to_pickle"}),
        ("re.compile('a')\nretrieval = medieval()", set()),
    ],
)
def test_code_from_data_is_seen(text: str, expected: set[str]) -> None:
    assert code_from_data(text) == expected


def test_no_unfinished_work_is_marked() -> None:
    marks = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")
    assert [name(path) for path in TEXTS if marks.search(path.read_text("utf-8"))] == []


PINNED = (
    "requirements.txt",
    "requirements-image.txt",
    "requirements-server.txt",
    "requirements-spark.txt",
    "requirements-bench.txt",
)
# Environments of their own, whose pins clash with ours.
APART = ("requirements-airflow.txt", "requirements-dagster.txt")


def pins(name: str) -> dict[str, str]:
    requirements = (ROOT / name).read_text(encoding="utf-8")
    found = re.findall(r"^([\w.-]+)==(\S+)", requirements, flags=re.MULTILINE)
    return {canonicalize_name(package): version for package, version in found}


@pytest.mark.parametrize("name", PINNED + APART)
def test_every_requirement_is_hashed_and_names_no_registry(name: str) -> None:
    requirements = (ROOT / name).read_text(encoding="utf-8")
    assert unhashed(requirements) == []
    assert not re.search(r"https?:|file:|^\s*-(?!-hash)", requirements, flags=re.MULTILINE)


def test_an_unhashed_requirement_is_seen() -> None:
    hashed = f"pandas==3.1.1 ; sys_platform != 'win32' \\\n    --hash=sha256:{'a' * 64}\n"
    assert unhashed(hashed) == []
    assert unhashed(hashed + "numpy==2.4.6\n") == ["numpy==2.4.6"]
    assert unhashed(hashed + "numpy>=2 --hash=sha256:ab\n") == ["numpy>=2 --hash=sha256:ab"]


def test_the_pins_satisfy_what_the_project_asks_for() -> None:
    pinned = {package: version for name in PINNED for package, version in pins(name).items()}
    extras = PROJECT["optional-dependencies"]
    asked = [*PROJECT["dependencies"]]
    asked += [one for name in ("dev", "postgres", "spark", "bench") for one in extras[name]]
    for requirement in map(Requirement, asked):
        version = pinned.get(canonicalize_name(requirement.name), "0")
        assert version in requirement.specifier, requirement


@pytest.mark.parametrize("name", PINNED[1:])
def test_what_is_pinned_twice_is_pinned_alike(name: str) -> None:
    main, further = pins(PINNED[0]), pins(name)
    assert further
    assert {package: main[package] for package in further if package in main}.items() <= (
        further.items()
    )


def test_the_changelog_knows_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## [{PROJECT['version']}] - " in changelog


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    linked = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text("utf-8"))
    assert linked == sorted(path.name for path in folder.glob("[0-9]*.md"))
    for name in linked:
        headings = re.findall(r"^## (.*)$", (folder / name).read_text("utf-8"), flags=re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences"], name


def test_make_alone_lists_every_target_with_its_comment() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    assert phony is not None
    comments = dict(re.findall(r"^([a-z-]+):.*?## (.+)$", makefile, flags=re.MULTILINE))
    assert set(comments) == set(phony[1].split()) - {"help"}
    surroundings = {
        name: value for name, value in os.environ.items() if not name.startswith("MAKE")
    }
    listed = subprocess.run(
        ["make"], cwd=ROOT, env=surroundings, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert [line.split(maxsplit=2) for line in listed] == [
        ["make", target, comment] for target, comment in comments.items()
    ]


@pytest.mark.parametrize(
    ("arguments", "tried"),
    [
        ([], "python3.13 python3.12 python3.11 python3"),
        (["PYTHON=./python3.8"], "./python3.8"),
    ],
)
def test_make_setup_without_a_python_fails_in_one_sentence(
    tmp_path: Path, arguments: list[str], tried: str
) -> None:
    old = tmp_path / "python3.8"
    old.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    old.chmod(0o755)
    for name in ("Makefile", "pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    make = shutil.which("make")
    assert make is not None
    refused = subprocess.run(
        [make, "setup", *arguments],
        cwd=tmp_path,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[0] == (
        "Healthscore needs Python 3.11 or newer with its venv module, and tried without success: "
        f"{tried}; install it or name it, as in 'make setup PYTHON=/usr/bin/python3.12'."
    )
    assert not (tmp_path / ".venv").exists()


def test_help_imports_nothing_heavy() -> None:
    shown = subprocess.run(
        [
            sys.executable,
            "-X",
            "importtime",
            "-c",
            "from pipelines.cli import main; main()",
            "--help",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Usage" in shown.stdout
    imported = imported_at_start(shown.stderr)
    assert "typer" in imported
    assert not imported & HEAVY


def test_a_heavy_import_is_seen() -> None:
    listed = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import numpy.linalg"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert imported_at_start(listed.stderr) & HEAVY == {"numpy"}


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    for name in ("pyproject.toml", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "README.md").write_text("# Healthscore\n", encoding="utf-8")
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "healthscore.py", tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_nothing.py").touch()
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        path.relative_to(tmp_path).as_posix()
        for package in PACKAGES
        for path in (tmp_path / package).rglob("*")
        if path.is_file()
    }
    assert held == expected | {"healthscore.py"}


def absent_tests(names: list[str]) -> list[str]:
    """List tests that no file defines."""
    defined = {
        place: {node.name for node in nodes_of((ROOT / place).read_text("utf-8"))
                if isinstance(node, ast.FunctionDef)}
        for place in {name.partition("::")[0] for name in names}
        if (ROOT / place).exists()
    }  # fmt: skip
    return [
        name
        for name in names
        if name.rpartition("::")[2] not in defined.get(name.partition("::")[0], set())
    ]


def test_tests_that_last_are_there() -> None:
    listed = (ROOT / "tests" / "lasting.txt").read_text("utf-8").split()
    assert len(listed) > 100
    assert absent_tests(listed) == []
    planted = ["tests/test_gone.py::test_a", f"{listed[0]}_gone"]
    assert absent_tests(planted) == planted
