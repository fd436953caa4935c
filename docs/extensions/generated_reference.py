"""Pages that say what the code says: settings, commands, source tables.

Each directive writes Markdown from the thing itself, so that a page cannot be out of date. What
lacks a sentence is a warning, which fails the build.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterator
from typing import Any

from docutils import nodes
from numpydoc.docscrape import NumpyDocString
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)

Section = tuple[str, type[BaseModel]]


def settings_markdown() -> str:
    """Write every section of the configuration file: its keys, defaults and a sentence on each."""
    from pipelines.project.project import Settings

    parts = []
    for title, model in _sections(Settings, ""):
        doc = NumpyDocString(model.__doc__ or "")
        sentences = _sentences(model)
        said = _prose([*doc["Summary"], *doc["Extended Summary"]])
        parts.append(f"## `{title}`\n\n{said}\n")
        rows = []
        for key, field in model.model_fields.items():
            if not _models_in(field.annotation):
                kind, sentence = sentences.get(key, ("", ""))
                if not sentence:
                    logger.warning("%s: no sentence in the docstring on '%s'", model.__name__, key)
                rows.append((f"`{field.alias or key}`", _code(kind), _default(field), sentence))
        parts.append(_table(("key", "kind", "default", "what it says"), rows) if rows else "")
    return "\n".join(parts)


def commands_markdown() -> str:
    """Write every command: how it is called, what it does, its arguments and options."""
    import typer

    from pipelines.cli import command_line

    parts = []
    for name, command in _commands(typer.main.get_command(command_line()), ""):
        context = command.context_class(command, info_name=f"healthscore {name}")
        usage = command.get_usage(context).removeprefix("Usage: ")
        records = [parameter.get_help_record(context) for parameter in command.get_params(context)]
        rows = [(_code(given), _cell(said)) for given, said in filter(None, records)]
        said = _prose((command.help or "").splitlines())
        if not said:
            logger.warning("the command '%s' has no docstring", name)
        parts.append(f"## {name}\n\n{said}\n\n```text\n{usage}\n```\n")
        parts.append(_table(("option", "what it does"), rows))
    return "\n".join(parts)


def _commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Walk the commands, those of a group of commands too, in the order of the alphabet."""
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def tables_markdown() -> str:
    """Write every source table: its columns, their kinds and from when a value counts."""
    from features.tables.mapping.contract import ACCOUNT_ID, CONTRACT, RECORDED_AT

    kinds = {"flag": "yes or no"}
    parts = []
    for table in CONTRACT.values():
        rows = []
        for column in (ACCOUNT_ID, *table.columns, RECORDED_AT):
            needed = "yes" if column.required else ""
            later = f"`{column.known_at}`" if column.known_at else "the row"
            if column.planned:
                later += ", may lie ahead"
            rows.append((f"`{column.name}`", kinds.get(column.kind, column.kind), needed, later))
        other = f", or `{table.time_else}` where that is missing" if table.time_else else ""
        parts.append(
            f"## {table.name}\n\nA row counts from `{table.time}`{other}."
            + (" Every further column belongs to it too." if table.is_open else "")
            + "\n"
        )
        parts.append(_table(("column", "kind", "required", "known from"), rows))
    return "\n".join(parts)


def _sections(model: type[BaseModel], path: str) -> Iterator[Section]:
    """Walk the settings tree, each kind of table of the source once."""
    for key, field in model.model_fields.items():
        # Vendors stand directly under [source].
        name = path if key == "vendors" else f"{path}.{key}" if path else key
        annotation = field.annotation
        if path == "tables" and key != "accounts":
            continue
        for inner in _models_in(annotation):
            shape = typing.get_origin(annotation)
            title = f"{path}.TABLE" if path == "tables" else name
            title = f"{title}.NAME" if shape is dict else title
            yield (f"[[{title}]]" if shape is tuple else f"[{title}]"), inner
            yield from _sections(inner, title)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [one for part in typing.get_args(annotation) for one in _models_in(part)]


def _sentences(model: type[BaseModel]) -> dict[str, tuple[str, str]]:
    """Read kind and sentence of each key; a section that extends another has those of both."""
    found: dict[str, tuple[str, str]] = {}
    for described in reversed(model.__mro__):
        if issubclass(described, BaseModel) and described is not BaseModel:
            for parameter in NumpyDocString(described.__doc__ or "")["Parameters"]:
                kind = parameter.type.removesuffix(" or None")
                for name in parameter.name.split(", "):
                    found[name] = (kind, _prose(parameter.desc))
    return found


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if default is None or default == "":
        return ""
    if isinstance(default, bool):
        return _code(str(default).lower())
    if isinstance(default, tuple):
        return _code("[" + ", ".join(_toml(one) for one in default) + "]")
    return _code(_toml(default))


def _toml(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _prose(lines: list[str]) -> str:
    """Turn the reStructuredText of a docstring into Markdown."""
    text = " ".join(line.strip() for line in lines).strip()
    text = re.sub(r"``docs/([\w-]+)/(\w+)\.md``", r"[\2](/\1/\2.md)", text)
    return re.sub(r":(class|func|mod|meth|attr):(`[^`]+`)", r"{py:\1}\2", text)


def _code(text: str) -> str:
    return f"`` {_cell(text)} ``" if text else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _directive(write: Callable[[], str]) -> type[SphinxDirective]:
    class Generated(SphinxDirective):
        def run(self) -> list[nodes.Node]:
            return self.parse_text_to_nodes(write(), allow_section_headings=True)

    return Generated


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("settings-reference", _directive(settings_markdown))
    app.add_directive("commands-reference", _directive(commands_markdown))
    app.add_directive("tables-reference", _directive(tables_markdown))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
