"""Builders of the user's own: Python files that the configuration names."""

from __future__ import annotations

import functools
import importlib.util
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import ibis
import ibis.expr.types as ir

from features.builders.builder import Builder, Request
from features.builders.settings import SignalsSettings
from features.catalog import GROUPS, Direction, Signal, Unit
from features.errors import HealthscoreError, SettingsError, nearest, sample
from features.sources.engines.engine import Engine
from features.tables.company import Company

NAME = re.compile(r"[a-z][a-z0-9_]{0,79}")
KEYS = ("account_id", "observation_date")


class OwnBuilder:
    """A builder from a file of the user's own, held to the contract of a builder.

    Parameters
    ----------
    file : str
        Where it came from, for messages.
    builder : Builder
        The user's object.
    """

    def __init__(self, file: str, builder: Builder) -> None:
        self.builder = builder
        self.title = f"The builder {type(builder).__name__} of '{file}'"
        self.group = str(getattr(builder, "group", "own"))

    def signals(self, company: Company, settings: SignalsSettings) -> tuple[Signal, ...]:
        """List its signals.

        Raises
        ------
        SettingsError
            When it fails or lists what is no signal.
        """
        with _blamed(self.title):
            listed = self.builder.signals(company, settings)
        if not isinstance(listed, list | tuple):
            raise SettingsError(
                f"{self.title} must return a tuple of signals and returned"
                f" {type(listed).__name__}; correct its signals()"
            )
        for signal in listed:
            self._check(signal)
        return tuple(listed)

    def build(self, request: Request) -> ir.Table:
        """Compute its table and look at the result.

        Raises
        ------
        SettingsError
            When it fails, lacks a column or does not return one row per observation.
        """
        signals = self.signals(request.company, request.settings)
        engine = request.company.engine
        with _blamed(self.title, engine):
            table = self.builder.build(request)
        if not isinstance(table, ir.Table):
            raise SettingsError(
                f"{self.title} must return an Ibis table and returned {type(table).__name__};"
                " correct its build()"
            )
        values = {signal.name: self._value(table, signal) for signal in signals}
        self._column(table, KEYS[0])
        self._column(table, KEYS[1])
        with _blamed(self.title, engine):
            kept = request.company.keep("own", table.select(*KEYS, **values))
            wanted = request.company.keep("keys", request.keys)
            found = wanted.inner_join(kept.select(*KEYS).distinct(), KEYS).count().execute()
            rows, observations = kept.count().execute(), wanted.count().execute()
        if not rows == found == observations:
            raise SettingsError(
                f"{self.title} must return each of the {observations:,} observations once and"
                f" returned {rows:,} rows with {found:,} of them; end its build() with"
                " fill_rows(request.keys, values, [])"
            )
        return kept

    def _check(self, signal: Any) -> None:
        if not isinstance(signal, Signal):
            raise SettingsError(
                f"{self.title} must list signals and lists {repr(signal)[:60]}; use"
                " features.catalog.Signal"
            )
        if not NAME.fullmatch(str(signal.name)):
            raise SettingsError(
                f"{self.title} must name signals in lower case, digits and underscores and has"
                f" {signal.name!r:.60}; rename it"
            )
        for field, known in (
            ("group", GROUPS),
            ("unit", get_args(Unit)),
            ("healthy", get_args(Direction)),
        ):
            value = getattr(signal, field)
            if value not in known:
                hint = nearest(str(value), known) or f"; known are {', '.join(known)}"
                raise SettingsError(
                    f"{self.title} gives signal '{signal.name}' the {field} {value!r:.60}{hint}"
                )

    def _column(self, table: ir.Table, name: str) -> ir.Value:
        if name not in table.columns:
            hint = nearest(name, table.columns) or f"; it returned {sample(table.columns, 8)}"
            raise SettingsError(f"{self.title} must return the column '{name}'{hint}")
        return table[name]

    def _value(self, table: ir.Table, signal: Signal) -> ir.Value:
        column = self._column(table, signal.name)
        kind = column.type()
        fits = kind.is_string() if signal.is_categorical else kind.is_numeric() or kind.is_boolean()
        if not fits and not kind.is_null():
            wanted = "text" if signal.is_categorical else "numbers"
            raise SettingsError(
                f"{self.title} must fill '{signal.name}' with {wanted} and returned {kind};"
                " convert the column"
            )
        if signal.is_categorical:
            return column.cast("string")
        number = column.cast("float64")
        return ibis.ifelse(number.isnan() | number.isinf(), ibis.null("float64"), number)


def own_builders(files: Sequence[str]) -> tuple[OwnBuilder, ...]:
    """Load the builders of the user's files: what they call ``BUILDER`` or list in ``BUILDERS``.

    Parameters
    ----------
    files : sequence of str
        Paths of Python files. They run with the rights of whoever runs Healthscore.

    Raises
    ------
    SettingsError
        When a file is not there, fails, or holds no builder.
    """
    return tuple(builder for file in files for builder in _loaded(file, _written(file)))


def builder_text(file: str) -> bytes:
    """Return what a file of builders holds.

    Raises
    ------
    SettingsError
        When it cannot be read.
    """
    with _named(file):
        return Path(file).read_bytes()


def _written(file: str) -> int:
    """Return when a file was last written, so that a changed file is loaded anew."""
    with _named(file):
        return Path(file).stat().st_mtime_ns


@contextmanager
def _named(file: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"[signals] builders names '{file}', which cannot be read: {error.strerror}; correct"
            " the path, which starts from the configuration's folder"
        ) from error


@functools.lru_cache(maxsize=32)
def _loaded(file: str, written: int) -> tuple[OwnBuilder, ...]:
    title = f"The file '{file}' of [signals] builders"
    spec = importlib.util.spec_from_file_location(f"own_builders_{Path(file).stem}", file)
    if spec is None or spec.loader is None:
        raise SettingsError(f"{title} must be a Python file; give it the ending .py")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their own module up by its name.
    sys.modules[spec.name] = module
    with _blamed(title):
        spec.loader.exec_module(module)
    found = [module.BUILDER] if hasattr(module, "BUILDER") else []
    several = getattr(module, "BUILDERS", ())
    if not isinstance(several, list | tuple):
        raise SettingsError(
            f"{title} must hold a list BUILDERS and holds {type(several).__name__}; write"
            " BUILDERS = [First(), Second()]"
        )
    found += several
    if not found:
        raise SettingsError(
            f"{title} holds no builder; end it with BUILDER = YourBuilder() or a list BUILDERS"
        )
    for builder in found:
        lacking = [name for name in ("signals", "build") if not callable(getattr(builder, name, 0))]
        if isinstance(builder, type) or lacking:
            without = "without " + " and ".join(f"{name}()" for name in lacking)
            what = "a class" if isinstance(builder, type) else without
            raise SettingsError(
                f"{title} must hold builders, objects with signals() and build(), and"
                f" {repr(builder)[:60]} is {what}; see docs/how-to/own_signals.md"
            )
    return tuple(OwnBuilder(file, builder) for builder in found)


@contextmanager
def _blamed(title: str, engine: Engine | None = None) -> Iterator[None]:
    """Say in one sentence what went wrong in code that is not ours."""
    try:
        yield
    except HealthscoreError:
        raise
    except (Exception, SystemExit) as error:
        if engine is not None and isinstance(error, engine.errors):
            said = engine.explain(error)
        else:
            lines = str(error).strip().splitlines()
            said = (
                f"{type(error).__name__}: {lines[0][:200].rstrip('.')}"
                if lines
                else type(error).__name__
            )
        raise SettingsError(f"{title} failed with {said}; correct it") from error
