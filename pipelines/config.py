"""The configuration file: one frozen tree of settings read from ``healthscore.toml``."""

from __future__ import annotations

import tomllib
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pydantic
from pydantic import Field

from features.errors import SettingsError, nearest
from features.mapping import Frozen, TablesSettings
from features.outcomes import OutcomeSettings
from features.signal_settings import SignalsSettings
from features.source_url import masked, masked_comments
from pipelines.whole_file import replaced_whole

FILE_NAME = "healthscore.toml"


class SourceSettings(Frozen):
    """The ``[source]`` section: where the tables lie.

    Parameters
    ----------
    url : str
        A folder of Parquet and CSV files or a DuckDB file, relative to the configuration file; or
        the address of a PostgreSQL server or of Spark (see ``docs/engines.md``).
    data_end : date or None
        The first day of which nothing is known; by default the day after the last row.
    """

    url: str = Field(repr=False)
    data_end: date | None = None


class LifecycleStage(Frozen):
    """One lifecycle stage: accounts younger than ``until_days`` (or all the rest)."""

    name: str
    until_days: int | None = Field(None, ge=1)


class SegmentsSettings(Frozen):
    """The ``[segments]`` section: which accounts are scored by weights of their own.

    Parameters
    ----------
    columns : tuple of str
        Profile signals whose values name the segments, the most important first.
    lifecycle : tuple of LifecycleStage
        Stages by tenure, in ascending order.
    min_rows, min_churns : int
        A segment with fewer rows or churns shares its parent's weights.
    """

    columns: tuple[str, ...] = ()
    lifecycle: tuple[LifecycleStage, ...] = ()
    min_rows: int = Field(200, ge=1)
    min_churns: int = Field(30, ge=1)


class ScoreSettings(Frozen):
    """The ``[score]`` section: what a score means.

    The first training fills these in; from then on they stay, so that a score means the same
    after every retraining.

    Parameters
    ----------
    anchor_probability : float or None
        Churn probability of score 50.
    at_risk_from, watch_from : float or None
        Churn probabilities from which an account is in the band.
    """

    anchor_probability: float | None = Field(None, gt=0, lt=1)
    at_risk_from: float | None = Field(None, gt=0, lt=1)
    watch_from: float | None = Field(None, gt=0, lt=1)

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> ScoreSettings:
        low, high = self.watch_from, self.at_risk_from
        if low is not None and high is not None and low > high:
            raise ValueError(
                f"[score] watch_from must not be above at_risk_from and is {low} against {high};"
                " correct one of them"
            )
        return self


class TrainingSettings(Frozen):
    """The ``[training]`` section.

    Parameters
    ----------
    seed : int
        Fixes every random choice.
    holdout_dates : int or None
        How many of the newest observation dates judge the model; by default about a quarter.
    threads : int
        Threads of the booster; the result does not depend on it.
    """

    seed: int = 7
    holdout_dates: int | None = Field(None, ge=1)
    threads: int = Field(2, ge=1)


class RegistrySettings(Frozen):
    """The ``[registry]`` section: where models are kept (``MLFLOW_TRACKING_URI`` wins)."""

    folder: str = "mlruns"
    model_name: str = Field("healthscore", pattern=r"^[A-Za-z0-9_-]{1,100}$")


class StoreSettings(Frozen):
    """The ``[store]`` section: where issued scores are kept."""

    file: str = "scores.duckdb"


class Settings(Frozen):
    """The whole tree."""

    source: SourceSettings
    tables: TablesSettings
    outcome: OutcomeSettings = OutcomeSettings()
    signals: SignalsSettings = SignalsSettings()
    segments: SegmentsSettings = SegmentsSettings()
    score: ScoreSettings = ScoreSettings()
    training: TrainingSettings = TrainingSettings()
    registry: RegistrySettings = RegistrySettings()
    store: StoreSettings = StoreSettings()


@dataclass(frozen=True)
class Project:
    """A configuration file and what it says.

    Parameters
    ----------
    path : Path
        The file.
    settings : Settings
        The tree read from it.
    text : str
        The file's text.
    """

    path: Path
    settings: Settings
    text: str = field(repr=False)

    @property
    def shown_text(self) -> str:
        """The file's text as it is kept with each model: without passwords."""
        import tomlkit

        document: Any = tomlkit.parse(self.text)
        document["source"]["url"] = masked(self.settings.source.url)
        return masked_comments(tomlkit.dumps(document))

    @property
    def folder(self) -> Path:
        """The folder that relative paths of the file start from."""
        return self.path.parent

    @property
    def registry_folder(self) -> Path:
        """Where models are kept."""
        return (self.folder / self.settings.registry.folder).resolve()

    @property
    def store_file(self) -> Path:
        """Where scores are kept."""
        return (self.folder / self.settings.store.file).resolve()


def load_project(path: Path) -> Project:
    """Read a configuration file.

    Raises
    ------
    SettingsError
        When the file is missing, is no TOML, or holds an unknown key or an impossible value.
    """
    try:
        text = _read(path)
    except FileNotFoundError as error:
        raise SettingsError(
            f"The configuration '{path}' does not exist; write a draft with"
            " 'healthscore init FOLDER' or name the file with -c"
        ) from error
    except OSError as error:
        raise SettingsError(
            f"The configuration '{path}' cannot be read: {error.strerror}; name a readable file"
            " with -c"
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"The configuration '{path}' must be UTF-8, and its byte {error.start} is not; save it"
            " as UTF-8"
        ) from error
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"The configuration '{path}' is not valid TOML: {error}") from error
    try:
        settings = Settings.model_validate(raw)
    except pydantic.ValidationError as error:
        raise SettingsError(f"The configuration '{path}': {_first_problem(error)}") from error
    return Project(path.resolve(), _with_whole_paths(settings, path.resolve().parent), text)


def _with_whole_paths(settings: Settings, folder: Path) -> Settings:
    """Let the files of own builders be found from wherever the command runs."""
    files = tuple(str(folder / file) for file in settings.signals.builders)
    signals = settings.signals.model_copy(update={"builders": files})
    return settings.model_copy(update={"signals": signals})


def freeze_scale(project: Project, scale: dict[str, float]) -> None:
    """Write the scale of the first champion into the file, keeping its comments."""
    import tomlkit

    document = tomlkit.parse(_read(project.path))
    if "score" not in document:
        document["score"] = tomlkit.table()
    section: Any = document["score"]
    for key, value in scale.items():
        section[key] = value
    with replaced_whole(project.path) as fresh:
        fresh.write_bytes(tomlkit.dumps(document).encode())


def _read(path: Path) -> str:
    """Read a text as it is, line ends included, but for the mark some editors put before it."""
    return path.read_bytes().decode("utf-8-sig")


def _first_problem(error: pydantic.ValidationError) -> str:
    problems = error.errors()
    # A misspelt key is also one that is missing; the spelling is the better news.
    first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
    where = _where(first["loc"])
    others = len({_where(problem["loc"]) for problem in problems}) - 1
    more = f" (and {others} more)" if others else ""
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        known = _known_keys(first["loc"][:-1])
        hint = nearest(key, known) or f"; known are {', '.join(known)}"
        section = _section(first["loc"][:-1]) or "the top level"
        return f"{section} has no key '{key[:60]}'{hint}{more}"
    if first["type"] == "value_error":
        return f"{first['msg'].removeprefix('Value error, ')}{more}"
    if first["type"] == "missing":
        return f"{where} is required and missing; add it{more}"
    value = masked(repr(first["input"]))[:60]
    if first["type"] == "model_type":
        return f"{where} must be a section, found {value}; write its keys below {where}{more}"
    rules = [problem["msg"] for problem in problems if _where(problem["loc"]) == where]
    rule = " or ".join(text[0].lower() + text[1:] for text in rules)
    return f"{where}: {rule}, found {value}; correct it{more}"


def _where(location: Sequence[int | str]) -> str:
    """Name a key as ``[section] key``, without what pydantic adds to tell alternatives apart."""
    names = [str(part) for part in location if isinstance(part, int) or part.isidentifier()]
    names = [name for name in names if name != "columns" or names[0] != "tables"]
    return f"{_section(names[:-1])} {names[-1]}" if len(names) > 1 else _section(names)


def _section(location: Sequence[int | str]) -> str:
    return "[" + ".".join(str(part) for part in location) + "]" if location else ""


def _known_keys(location: Sequence[int | str]) -> list[str]:
    """Walk the settings tree to the node of a location and list its keys."""
    node: type[pydantic.BaseModel] = Settings
    for part in location:
        field = node.model_fields.get(str(part))
        found = _model_in(field.annotation) if field is not None else None
        if found is not None:
            node = found
    return [field.alias or name for name, field in node.model_fields.items()]


def _model_in(annotation: Any) -> type[pydantic.BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    for argument in typing.get_args(annotation):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
