"""The configuration file: one frozen tree of settings read from ``healthscore.toml``."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pydantic
from pydantic import Field

from features.builders.settings import SignalsSettings
from features.errors import SettingsError, nearest, sample
from features.outcomes.settings import OutcomeSettings
from features.packs.vendors import IdentitySettings
from features.packs.views import View
from features.sources.url import HIDDEN, masked, masked_comments
from features.tables.mapping.finding import CheckSettings
from features.tables.mapping.mapping import Frozen, TablesSettings
from features.tables.mapping.reading_settings import ReadingSettings
from models.drift.policy import DriftPolicy, PromotionRules
from models.scoring.timing.retention.settings import ForecastSettings
from pipelines.project.settings.alert import AlertSettings, DigestSettings, WritebackSettings
from pipelines.project.settings.experiment import NAME, ExperimentSettings
from pipelines.project.settings.score import MAIN, FurtherOutcome, ScoreSettings, with_inherited
from pipelines.project.settings.scorecard import (
    OwnersSettings,
    PlaysSettings,
    ScorecardSettings,
)
from pipelines.project.settings.serve import ServeSettings, with_owner
from pipelines.project.settings.source import SourceSettings, with_rates
from pipelines.project.settings.store import StoreSettings
from pipelines.project.settings.training import (
    BacktestSettings,
    RegistrySettings,
    SegmentsSettings,
    TrainingSettings,
    TuningSettings,
)
from pipelines.reports.terminal.whole_file import replaced_whole

if TYPE_CHECKING:
    from models.registry.models import Registry

FILE_NAME = "healthscore.toml"


class Settings(Frozen):
    """The whole tree."""

    source: SourceSettings
    views: dict[Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")], View] = Field({})
    tables: TablesSettings
    identity: IdentitySettings = IdentitySettings()
    reading: ReadingSettings = ReadingSettings()
    check: CheckSettings = CheckSettings()
    outcome: OutcomeSettings = OutcomeSettings()
    outcomes: dict[str, FurtherOutcome] = Field({}, max_length=50)
    signals: SignalsSettings = SignalsSettings()
    segments: SegmentsSettings = SegmentsSettings()
    score: ScoreSettings = ScoreSettings()
    training: TrainingSettings = TrainingSettings()
    backtest: BacktestSettings = BacktestSettings()
    tuning: TuningSettings = TuningSettings()
    retraining: PromotionRules = PromotionRules()
    registry: RegistrySettings = RegistrySettings()
    store: StoreSettings = StoreSettings()
    scorecard: ScorecardSettings = ScorecardSettings()
    plays: PlaysSettings = PlaysSettings()
    forecast: ForecastSettings = ForecastSettings()
    owners: OwnersSettings = OwnersSettings()
    experiments: dict[Annotated[str, Field(pattern=NAME)], ExperimentSettings] = Field({})
    monitor: DriftPolicy = DriftPolicy()
    alert: AlertSettings = AlertSettings()
    digest: DigestSettings = DigestSettings()
    writeback: dict[Annotated[str, Field(pattern=NAME)], WritebackSettings] = Field({})
    serve: ServeSettings = ServeSettings()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _inherit(cls, raw: Any) -> Any:
        return with_rates(with_owner(with_inherited(raw)))

    @pydantic.model_validator(mode="after")
    def _scores_fit(self) -> Settings:
        self.score.refuse_other_direction(self.outcome, "score")
        for name, further in self.outcomes.items():
            further.score.refuse_other_direction(further, f"outcomes.{name}.score")
        return self

    def for_outcome(self, name: str) -> Settings:
        """Return the tree with a further outcome, its score and its model in the main place.

        Raises
        ------
        SettingsError
            When no outcome has that name.
        """
        if name == MAIN:
            return self
        if name not in self.outcomes:
            known = [MAIN, *self.outcomes]
            hint = nearest(name, known) or f"; known are {sample(known, 8)}"
            raise SettingsError(f"There is no outcome {sample([name])}{hint}")
        further = self.outcomes[name]
        model_name = f"{self.registry.model_name}-{name}"
        return self.model_copy(
            update={
                "outcome": further.outcome(),
                "score": further.score,
                "registry": self.registry.model_copy(update={"model_name": model_name}),
            }
        )


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
    outcome_name : str
        Which of the file's outcomes the tree is for: "main" or a name under ``[outcomes]``.
    """

    path: Path
    settings: Settings
    text: str = field(repr=False)
    outcome_name: str = MAIN

    def for_outcome(self, name: str) -> Project:
        """Return the project of one of its outcomes.

        ``settings.outcome``, ``settings.score`` and the registered model's name are then those of
        the outcome, and everything else stays.

        Raises
        ------
        SettingsError
            When no outcome has that name.
        """
        if name == self.outcome_name:
            return self
        if self.outcome_name != MAIN:
            return load_project(self.path).for_outcome(name)
        return replace(self, settings=self.settings.for_outcome(name), outcome_name=name)

    @property
    def outcome_section(self) -> str:
        """The section that describes the outcome."""
        return "outcome" if self.outcome_name == MAIN else f"outcomes.{self.outcome_name}"

    @property
    def shown_text(self) -> str:
        """The file's text as it is kept with each model: without passwords."""
        import tomlkit

        document: Any = tomlkit.parse(self.text)
        if self.settings.source.url is not None:
            document["source"]["url"] = masked(self.settings.source.url)
        for key in set(document.get("store", {})) & {"url", "file"}:
            document["store"][key] = masked(self.settings.store.url)
        for key in set(document.get("alert", {})) & {"webhook", "command"}:  # often secrets
            document["alert"][key] = HIDDEN
        for section in document.get("writeback", {}).values():
            for key in set(section) & {"url"}:
                section[key] = HIDDEN
        return masked_comments(tomlkit.dumps(document))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what shapes a score: not comments, order, passwords or places."""
        beside = {"registry", "store", "scorecard", "plays", "retraining", "monitor", "alert"}
        beside |= {"serve", "check", "owners", "experiments", "writeback"}
        said = self.settings.model_dump(mode="json", exclude=beside)
        if self.settings.source.url is not None:
            said["source"]["url"] = masked(self.settings.source.url)
        if not self.settings.source.vendors:
            # A project without vendors scores as one did before there were any.
            del said["source"]["vendors"], said["identity"]
        # Nor does an option that is not taken make another project of it.
        for option, tables in (("covers", said["tables"]), ("over_time", said["signals"]["own"])):
            for table in filter(None, tables.values()):
                if not table[option]:
                    del table[option]
        named = [vendor.pack for vendor in self.settings.source.vendors.values()]
        named += filter(None, [self.settings.identity.overrides])
        files = [file for name in named if (file := self.folder / name).is_file()]
        if files:
            said["files"] = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        said["signals"]["builders"] = _digests(self.settings.signals.builders)
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    @property
    def folder(self) -> Path:
        """The folder that relative paths of the file start from."""
        return self.path.parent

    @property
    def registry_folder(self) -> Path:
        """Where models are kept."""
        return (self.folder / self.settings.registry.folder).resolve()

    @property
    def registry(self) -> Registry:
        """The model of the outcome in its registry, which refuses one that was taught another."""
        from models.registry.models import AskedOutcome, Registry

        outcome = self.settings.outcome
        return Registry(
            self.registry_folder,
            self.settings.registry.model_name,
            AskedOutcome(outcome.kind, outcome.is_good, self.outcome_section),
        )

    @property
    def store_shown(self) -> str:
        """Where scores are kept, as it may be printed: an absolute path or an address."""
        return self.settings.store.shown(self.folder)


def _digests(builders: Sequence[str]) -> list[str]:
    if not builders:
        return []
    from features.builders.own import builder_text

    return [hashlib.sha256(builder_text(file)).hexdigest() for file in builders]


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
        problem = _first_problem(error) + _unfinished(error, text)
        raise SettingsError(f"The configuration '{path}': {problem}") from error
    return Project(path.resolve(), _with_whole_paths(settings, path.resolve().parent), text)


def _with_whole_paths(settings: Settings, folder: Path) -> Settings:
    """Let the files of own builders be found from wherever the command runs."""
    files = tuple(str(folder / file) for file in settings.signals.builders)
    signals = settings.signals.model_copy(update={"builders": files})
    return settings.model_copy(update={"signals": signals})


def freeze_scale(project: Project, scale: Mapping[str, float | str | dict[str, float]]) -> None:
    """Write the scale of an outcome's first champion into the file, keeping its comments."""
    import tomlkit

    document = tomlkit.parse(_read(project.path))
    holder: Any = document
    if project.outcome_name != MAIN:
        holder = holder["outcomes"][project.outcome_name]
    if "score" not in holder:
        holder["score"] = tomlkit.table()
    section = holder["score"]
    for key, value in scale.items():
        section[key] = value
        if isinstance(value, dict):
            # A table of its own would swallow the keys after it.
            section[key] = tomlkit.inline_table()
            section[key].update(value)
    with replaced_whole(project.path) as fresh:
        fresh.write_bytes(tomlkit.dumps(document).encode())


def _read(path: Path) -> str:
    """Read a text as it is, line ends included, but for the mark some editors put before it."""
    return path.read_bytes().decode("utf-8-sig")


def _unfinished(error: pydantic.ValidationError, text: str) -> str:
    """Say which tables a draft left as comments, where tables are what is missing."""
    left = re.findall(r"^# \[tables\.(\w+)\]$", text, re.MULTILINE)
    if not left or not any(each["loc"][:1] == ("tables",) for each in error.errors()):
        return ""
    wanted = re.findall(r"^# check: no column looks like (\w+), which is required$", text, re.M)
    columns = f", as no column looks like {', '.join(dict.fromkeys(wanted))}" if wanted else ""
    return (
        f" (the draft left {', '.join(left)} out{columns}: fill in the lines that begin with '# ')"
    )


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
        text = first["msg"].removeprefix("Value error, ")
        named = text if text.startswith("[") else f"{_section(first['loc'])} {text}"
        return f"{named}{more}"
    if first["type"] == "missing":
        return f"{where} is required and missing; add it{more}"
    value = masked(repr(first["input"]))[:60]
    if first["type"] == "model_type":
        where = _section(first["loc"])
        return f"{where} must be a section, found {value}; write its keys below {where}{more}"
    rules = [problem["msg"] for problem in problems if _where(problem["loc"]) == where]
    rule = " or ".join(text[0].lower() + text[1:] for text in rules)
    return f"{where}: {rule}, found {value}; correct it{more}"


def _where(location: Sequence[int | str]) -> str:
    """Name a key as ``[section] key``, without what pydantic adds to tell alternatives apart."""
    # The name of an outcome may hold a hyphen, which no key does.
    free = location[1:2] if location[:1] == ("outcomes",) else ()
    names = [
        str(part)
        for part in location
        if isinstance(part, int) or part.isidentifier() or part in free
    ]
    names = [name for name in names if name != "columns" or names[0] != "tables"]
    return f"{_section(names[:-1])} {names[-1]}" if len(names) > 1 else _section(names)


def _section(location: Sequence[int | str]) -> str:
    return "[" + ".".join(str(part) for part in location) + "]" if location else ""


def _known_keys(location: Sequence[int | str]) -> list[str]:
    """Walk the settings tree to the node of a location and list its keys."""
    node: type[pydantic.BaseModel] = Settings
    for part in location:
        field = node.model_fields.get(str(part))
        inner = _model_in(field.annotation) if field is not None else None
        if inner is not None:
            node = inner
    return [field.alias or name for name, field in node.model_fields.items()]


def _model_in(annotation: Any) -> type[pydantic.BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    inner = (_model_in(argument) for argument in typing.get_args(annotation))
    return next(filter(None, inner), None)
