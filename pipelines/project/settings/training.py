"""Sections on how models are taught, judged and kept."""

from __future__ import annotations

from pydantic import Field

from features.tables.mapping.mapping import Frozen


class LifecycleStage(Frozen):
    """One lifecycle stage: accounts younger than ``until_days`` (or all the rest).

    Parameters
    ----------
    name : str
        What people call it.
    until_days : int or None
        Days since the account began at which the stage ends; the last stage has none.
    """

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
    min_rows, min_positives : int
        A segment with fewer rows or churns shares its parent's weights.
    """

    columns: tuple[str, ...] = ()
    lifecycle: tuple[LifecycleStage, ...] = ()
    min_rows: int = Field(200, ge=1)
    min_positives: int = Field(30, ge=1)


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
    sample_negatives : float
        Share of the rows without the outcome that the model is taught with; probabilities are
        corrected for what is left out.
    allowed_signals : tuple of str
        Signals that may know the outcome as well as they do: they were known before it.
    """

    seed: int = 7
    holdout_dates: int | None = Field(None, ge=1)
    threads: int = Field(2, ge=1)
    sample_negatives: float = Field(1.0, gt=0, le=1)
    allowed_signals: tuple[str, ...] = ()


class BacktestSettings(Frozen):
    """The ``[backtest]`` section.

    Parameters
    ----------
    origins : int
        How many later spans of dates are tested, each by models that saw only what had matured
        before it.
    """

    origins: int = Field(4, ge=1, le=50)


class TuningSettings(Frozen):
    """The ``[tuning]`` section: how long training searches for better parameters of the model.

    Parameters
    ----------
    seconds : float
        Budget of a search; 0 trains with the defaults. ``train --tune`` outranks it.
    max_depth : int
        Deepest tree that is tried.
    trials : int or None
        Most trials, those of earlier runs on the same data included; by default as many as the
        time allows. A search that this ends gives equal results whenever it is run.
    """

    seconds: float = Field(0, ge=0, allow_inf_nan=False)
    max_depth: int = Field(6, ge=1, le=20)
    trials: int | None = Field(None, ge=1)


class RegistrySettings(Frozen):
    """The ``[registry]`` section: where models are kept (``MLFLOW_TRACKING_URI`` wins).

    Parameters
    ----------
    folder : str
        Folder of the registry, relative to the configuration file.
    model_name : str
        Name the model is registered under; a further outcome's name is put after it.
    """

    folder: str = "mlruns"
    model_name: str = Field("healthscore", pattern=r"^[A-Za-z0-9_-]{1,100}$")
