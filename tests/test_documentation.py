"""What README and manual say is so: commands run, options exist, settings are understood."""

from __future__ import annotations

import io
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from markdown_it import MarkdownIt

from features.errors import HealthscoreError
from pipelines.cli import EXIT_CODES, command_line
from pipelines.project.project import Settings
from tests.pipelines.conftest import Project, Run

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples" / "README.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
PROGRAMS = (
    "apt|cd|curl|docker|export|for|git|head|healthscore|make|marimo|mkdir|mlflow|pip|python|sudo"
)
COMMAND = re.compile(rf"(?:\$ )?(?:[\w./-]*/bin/)?(?:{PROGRAMS})(?: |$)")
CRON = re.compile(r"^(?:[\d*/,-]+ +){5}(?=healthscore )")

COMMANDS: Any = typer.main.get_command(command_line())

# What is not run here, by how it begins, and why.
NOT_RUN = {
    "make demo": "takes a minute; continuous integration runs it",
    "make test": "runs this test",
    "make setup": "installs packages; continuous integration runs it",
    "make": "lists targets, as tests/test_project.py checks",
    "git clone": "fetches",
    "cd": "changes the shell it is typed in",
    "export": "changes the shell it is typed in",
    "mkdir": "makes a folder to work in",
    "pip install": "installs packages",
    "docker": "needs a container engine",
    "for name in": "makes passwords for the containers",
    "mlflow server": (
        "runs until it is stopped; tests/pipelines/training/test_remote_registry.py starts one"
    ),
    "mlflow ui": "runs until it is stopped",
    "mlflow models serve": (
        "runs until it is stopped; tests/models/registry/test_serving.py loads the model"
    ),
    "curl": "asks that server",
    "marimo": "opens an editor, or a page for the browser",
    "python notebooks": "tests/test_notebooks.py runs every notebook",
    "healthscore serve": "runs until it is stopped; tests/pipelines/dashboard starts it",
    "healthscore mcp": "runs until it is stopped; tests/pipelines/agents starts it",
    "healthscore plays": "needs a team that acts; tests/pipelines/plays/test_command.py has one",
    "healthscore digest --all": "needs owners; tests/pipelines/portfolio/outbox has some",
    "healthscore erase": "needs tables without the account; tests/pipelines/project/erase has some",
    "healthscore writeback": (
        "needs a place to write to; tests/pipelines/portfolio/outbox/writeback has some"
    ),
    "healthscore connect": "needs vendors' exports; tests/pipelines/setup/test_vendors.py has some",
    "healthscore init exports": "needs vendors' exports, as above",
    "healthscore links": "needs vendors' exports, as above",
    "healthscore layout": (
        "needs vendors' exports; tests/pipelines/setup/drafting/test_pack.py has some"
    ),
    "healthscore export scores.parquet --outcome expansion": (
        "needs a second outcome; tests/pipelines/training/test_outcomes.py teaches one"
    ),
}
# Read by the company of these tests instead of what a page names.
INSTEAD = (
    (r"^(A-\d{5}|ACCOUNT)$", "A-00211"),
    (r"^demo/healthscore\.toml$|^/srv/healthscore\.toml$", "healthscore.toml"),
    (r"^demo/", ""),
    # Seconds of tuning, spans of dates: as many as suffice to see that it runs.
    (r"^(600|2)$", "1"),
)
DATES = {"--since": "2024-09-01", "--as-of": "2024-10-01"}
GROUPS = {name for name, one in COMMANDS.commands.items() if hasattr(one, "commands")}
ENDS = {"monitor": {0, 10, 11, 12, 13}}


@dataclass(frozen=True)
class Typed:
    """One command of a page."""

    page: str
    text: str

    @property
    def reason(self) -> str | None:
        """Why it is not run; None where it is."""
        found = [begin for begin in NOT_RUN if self.begins(begin)]
        return NOT_RUN[max(found, key=len)] if found else None

    def begins(self, begin: str) -> bool:
        return self.text == begin or self.text.startswith((f"{begin} ", f"{begin}/"))


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """List code blocks, fenced or indented, with the language of the fence."""
    for token in MarkdownIt().parse(text):
        if token.type == "fence":
            yield token.info.strip() or "none", token.content
        elif token.type == "code_block":
            yield "indented", token.content


def inline_code(text: str) -> Iterator[str]:
    for token in MarkdownIt().enable("table").parse(text):
        yield from (one.content for one in token.children or () if one.type == "code_inline")


def commands(text: str) -> Iterator[str]:
    """List the commands of a page, one each, without paths, comments and prompts."""
    for language, content in blocks(text):
        lines = content.replace("\\\n", " ").splitlines()
        if language == "console":
            lines = [line for line in lines if line.startswith("$ ")]
        elif language in ("indented", "text"):
            # A schedule, or commands and nothing else.
            lines = [line for line in lines if CRON.match(line) or COMMAND.match(line)]
            if language == "text":
                lines = [line for line in lines if CRON.match(line)]
        elif language not in ("sh", "bash"):
            continue
        for line in lines:
            yield from simple(CRON.sub("", line.removeprefix("$ ")))


def simple(line: str) -> Iterator[str]:
    """Split a line at ``&&``, drop its comment, and name programs without their folder."""
    if line.startswith("for "):
        yield line
        return
    words = shlex.split(line, comments=True)
    while words:
        end = words.index("&&") if "&&" in words else len(words)
        part, words = words[:end], words[end + 1 :]
        part[0] = part[0].removeprefix("./").rpartition("/bin/")[2]
        yield shlex.join(part)


TYPED = [
    Typed(str(page.relative_to(ROOT)), text)
    for page in PAGES
    for text in commands(page.read_text("utf-8"))
]


def test_commands_are_found_however_a_page_writes_them() -> None:
    page = """\
Indented:

    .venv/bin/healthscore check -c a.toml    # a comment
    select 1;

```console
$ healthscore score && healthscore monitor
healthscore: printed, not typed
```

```sh
pip install 'healthscore[x]'
```

```text
0 5 * * *  healthscore score -c b.toml && healthscore trend
healthscore: not typed
```

```toml
healthscore = "no command"
```
"""
    assert list(commands(page)) == [
        "healthscore check -c a.toml",
        "healthscore score",
        "healthscore monitor",
        "pip install 'healthscore[x]'",
        "healthscore score -c b.toml",
        "healthscore trend",
    ]
    told = {one.page for one in TYPED}
    assert {"README.md", "docs/drift.md", "docs/tutorials/your_own_csv.md"} <= told
    assert len(TYPED) > 80


def test_every_command_is_run_or_left_out_for_a_reason() -> None:
    strange = [one for one in TYPED if not one.reason and not one.text.startswith("healthscore ")]
    assert strange == []
    idle = [begin for begin in NOT_RUN if not any(one.begins(begin) for one in TYPED)]
    assert idle == []


def to_run() -> dict[frozenset[str], Typed]:
    """Choose a command of each kind; one that another has all the options of is run with that."""
    chosen: dict[frozenset[str], Typed] = {}
    for one in TYPED:
        if one.reason is None:
            words = shlex.split(one.text)[1:]
            options = {word for word in words if word.startswith("-")} - {"-c", "--config"}
            # An account, of a command that also does without.
            named = {"ACCOUNT"} & {re.sub(r"^A-\d{5}$", "ACCOUNT", word) for word in words[1:2]}
            command = " ".join(words[: 2 if words[0] in GROUPS else 1])
            chosen.setdefault(frozenset({command} | options | named), one)
    return {key: one for key, one in chosen.items() if not any(key < other for other in chosen)}


def test_every_kind_of_command_is_chosen() -> None:
    kinds = {one.text.split()[1] for one in to_run().values()}
    assert kinds == {one.text.split()[1] for one in TYPED if one.reason is None}
    assert kinds >= {"init", "check", "train", "backtest", "score", "recommend", "monitor"}


@pytest.mark.slow
@pytest.mark.manual
@pytest.mark.xdist_group("manual")
def test_every_command_runs(
    walked: Project, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "company"
    shutil.copytree(walked.folder, folder)
    monkeypatch.chdir(folder)
    chosen = to_run()
    # A company before its first command, and one with something to go back to.
    (tmp_path / "fresh").mkdir()
    shutil.copytree(walked.folder / "my_tables", tmp_path / "fresh" / "my_tables")
    order = sorted(chosen.values(), key=lambda one: "train" not in one.text)
    for one in order:
        _, command, *given = shlex.split(one.text)
        if {"<", ">"} & set(given):
            given = given[: min(given.index(sign) for sign in "<>" if sign in given)]
        monkeypatch.setattr(sys, "stdin", io.StringIO("what anna types\n"))
        for pattern, other in INSTEAD:
            given = [re.sub(pattern, other, word) for word in given]
        for option, day in DATES.items():
            if option in given:
                given[given.index(option) + 1] = day
        if command == "init":
            monkeypatch.chdir(tmp_path / "fresh")
        ran = run(command, *given)
        monkeypatch.chdir(folder)
        assert ran.code in ENDS.get(command, {0}), f"{one.page}: {one.text}\n{ran.err}"
        assert ran.out, one


def options_of(words: list[str]) -> set[str]:
    """The options that a command has; none where there is no such command."""
    node: Any = COMMANDS
    for word in words:
        node = getattr(node, "commands", {}).get(word, node)
    if node is COMMANDS:
        return set()
    return {option for one in node.params for option in (*one.opts, *one.secondary_opts)} | {
        "--help"
    }


@each_page
def test_commands_in_the_text_exist(page: Path) -> None:
    for code in inline_code(page.read_text("utf-8")):
        if re.match(r"healthscore [a-z]", code):
            words = code.split()[1:]
            known = options_of(words)
            assert known, code
            assert {word for word in words if word.startswith("-")} <= known, code
        if code.startswith("make "):
            target = code.split()[1]
            assert f"\n{target}:" in (ROOT / "Makefile").read_text("utf-8"), code


def test_a_command_that_does_not_exist_is_seen() -> None:
    assert options_of(["scroe"]) == set()
    assert "--since" in options_of(["explain"])
    assert "--role" in options_of(["user", "add"])


LEAST: dict[str, Any] = {"source": {"url": "data"}, "tables": {"accounts": {}, "subscriptions": {}}}


@each_page
def test_settings_in_the_text_are_understood(page: Path) -> None:
    for language, content in blocks(page.read_text("utf-8")):
        is_toml = language == "toml" or (language == "indented" and content.startswith("["))
        if is_toml:
            given = tomllib.loads(content)
            tables = LEAST["tables"] | given.get("tables", {})
            Settings.model_validate(LEAST | given | {"tables": tables})


@each_page
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    for token in MarkdownIt().enable("table").parse(page.read_text("utf-8")):
        for one in token.children or ():
            target = str(one.attrs.get("href", one.attrs.get("src", ""))).partition("#")[0]
            if target and not re.match(r"\w+:", target):
                assert (page.parent / target).exists(), target


def test_the_exit_codes_are_those_of_the_program() -> None:
    page = (ROOT / "docs" / "reference" / "exit_codes.md").read_text("utf-8")
    listed = dict(re.findall(r"^\| (\d+) \| ([^|]+) \|", page, flags=re.MULTILINE))
    told = " ".join(EXIT_CODES.split()).removeprefix("Exit codes: ").removesuffix(".")
    assert listed == dict(one.split(" ", 1) for one in told.split(" · "))
    assert {one.exit_code for one in HealthscoreError.__subclasses__()} <= {
        int(code) for code in listed
    }
