"""What the manual's own Sphinx extensions write, and what they refuse."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
import typer
from docutils import nodes

from features.tables.mapping.contract import CONTRACT
from pipelines.cli import command_line
from pipelines.project.project import Settings

ROOT = Path(__file__).resolve().parents[2]
MATHML = "{http://www.w3.org/1998/Math/MathML}"


def extension(name: str) -> ModuleType:
    described = importlib.util.spec_from_file_location(
        f"manual_{name}", ROOT / "docs" / "extensions" / f"{name}.py"
    )
    assert described is not None
    assert described.loader is not None
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return module


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What an extension warns of, which fails the build."""
    said: list[str] = []

    class Logger:
        def warning(self, text: str, *values: object, **_: object) -> None:
            said.append(text % values)

    monkeypatch.setattr("sphinx.util.logging.getLogger", lambda _: Logger())
    return said


@pytest.mark.parametrize(
    ("page", "fetched"),
    [
        ('<script src="https://cdn.example/a.js"></script>', ["https://cdn.example/a.js"]),
        ('<link rel="stylesheet" href="//fonts.example/a.css">', ["//fonts.example/a.css"]),
        ('<img srcset="http://a.example/b.png 2x">', ["http://a.example/b.png 2x"]),
        ('<link rel="canonical" href="https://a.example/">', []),
        ('<a href="https://a.example/">a source</a><img src="_static/b.svg">', []),
        ("<pre>&lt;script src='https://a.example'&gt;</pre>", []),
    ],
)
def test_what_a_page_would_fetch_is_seen(page: str, fetched: list[str]) -> None:
    assert extension("no_network").fetched(page) == fetched


def test_a_page_that_fetches_fails_the_build(tmp_path: Path, warned: list[str]) -> None:
    (tmp_path / "a.html").write_text('<iframe src="https://a.example"></iframe>', "utf-8")

    class Application:
        builder = type("Builder", (), {"format": "html"})
        outdir = tmp_path

    extension("no_network").look(Application(), None)
    assert warned == ["a.html would fetch https://a.example"]


def formulas() -> list[str]:
    found = []
    for page in sorted((ROOT / "docs" / "explanation").glob("*.md")):
        text = page.read_text("utf-8")
        found += re.findall(r"\$\$\n(.+?)\n\$\$", text, flags=re.DOTALL)
        found += re.findall(r"(?<!\$)\$([^$\n]+)\$(?!\$)", text)
    return found


def test_every_formula_of_the_manual_becomes_mathml(warned: list[str]) -> None:
    translated = extension("mathml").translated
    assert len(formulas()) > 30
    for formula in formulas():
        written = translated(nodes.math(text=formula), as_block=False)
        written = written.replace("&ApplyFunction;", "\u2061")
        assert ElementTree.fromstring(written).tag == f"{MATHML}math", formula
    assert warned == []


def test_a_formula_that_cannot_be_read_is_a_warning_and_stays(warned: list[str]) -> None:
    written = extension("mathml").translated(nodes.math(text=r"\nothing{x} < 1"), as_block=True)
    assert written == r"<code>\nothing{x} &lt; 1</code>"
    assert len(warned) == 1
    assert warned[0].startswith(r"formula '\\nothing{x} < 1' cannot be read: ")


def test_every_setting_has_its_sentence(warned: list[str]) -> None:
    page = extension("generated_reference").settings_markdown()
    assert warned == []
    for section, field in Settings.model_fields.items():
        assert re.search(rf"^## `\[{section}[\].]", page, flags=re.MULTILINE), section
        # Tables are told of once, as [tables.TABLE], and vendors as [source.NAME].
        for key in getattr(field.annotation, "model_fields", {}) if section != "tables" else ():
            if key == "vendors":
                assert "## `[source.NAME]`" in page
                continue
            assert re.search(rf"`{key}`|\.{key}[\].`]|\[{key}", page), (section, key)
    assert "| `cool_down_days` | `` int `` | `` 30 `` | Days after a training" in page
    # What one docstring says of a section that extends another is found, too.
    assert page.count("Length of the outcome window in days.") == 2
    assert ":class:" not in page


def test_a_setting_without_a_sentence_is_a_warning(
    warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = extension("generated_reference")
    monkeypatch.setattr(reference, "_sentences", lambda _: {})
    reference.settings_markdown()
    assert "TrainingSettings: no sentence in the docstring on 'seed'" in warned


def test_every_command_is_listed_with_its_options(warned: list[str]) -> None:
    page = extension("generated_reference").commands_markdown()
    assert warned == []
    commands = typer.main.get_command(command_line()).commands
    headings = re.findall(r"^## (.+)$", page, flags=re.MULTILINE)
    assert {heading.split()[0] for heading in headings} == set(commands)
    assert {"user add", "user list", "user remove"} <= set(headings)
    assert "| `` --weights <str> `` | In percent, summing to 100" in page


def test_every_table_and_column_is_listed() -> None:
    page = extension("generated_reference").tables_markdown()
    for table in CONTRACT.values():
        part = page.partition(f"## {table.name}\n")[2].partition("\n## ")[0]
        listed = re.findall(r"^\| `(\w+)` \|", part, flags=re.MULTILINE)
        assert listed == [column.name for column in table.all_columns()]
    assert "| `paid_at` | time |  | `paid_at` |" in page
