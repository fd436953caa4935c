"""Search for better parameters of the churn model, within a budget, where it was left off."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from features.errors import SettingsError
from features.json_values import Json, JsonReady
from models.arrays import Codes
from models.churn.classifier import ChurnClassifier
from models.churn.coded import Rows
from models.training.tuning_journal import open_journal, quiet_optuna
from models.training.tuning_trial import (
    LOSSES,
    MAX_DEPTH,
    Course,
    Parameters,
    paired_gain,
    search_space,
    within,
)


@dataclass(frozen=True)
class Tuned(JsonReady):
    """What a search found.

    Attributes
    ----------
    parameters : dict of str to float
        Parameters of :class:`models.churn.classifier.ChurnClassifier` to train with.
    source : str
        Whose they are: "search", "champion" or "defaults".
    log_loss_before : float or None
        Out-of-time log loss of those in use before, in nats; None when time was too short.
    log_loss_after : float or None
        That of the best trial, whether or not its parameters are used.
    gain : float or None
        By how much the best trial is lower.
    noise : float or None
        Standard error of the gain over accounts.
    trials, resumed, pruned : int
        Trials in the journal that ended; those of them that earlier runs had ended, and those
        given up after some of the folds.
    seconds : float
        Time spent.
    """

    parameters: Parameters
    source: str
    log_loss_before: float | None
    log_loss_after: float | None
    gain: float | None
    noise: float | None
    trials: int
    resumed: int
    pruned: int
    seconds: float

    @property
    def sentence(self) -> str:
        """What happened, in words."""
        stay = f"the {'champion’s parameters' if self.source == 'champion' else 'defaults'} stay"
        if self.gain is None or self.noise is None:
            return (
                f"No trial ended within {self.seconds:.0f} seconds, so {stay}; "
                "give the search more seconds."
            )
        told = f"{self.trials} trials ({self.resumed} taken up, {self.pruned} pruned)"
        if self.gain > self.noise:
            return (
                f"{told} lowered the out-of-time log loss from {self.log_loss_before:.4f} to "
                f"{self.log_loss_after:.4f} (by {self.gain:.4f} ± {self.noise:.4f})."
            )
        return (
            f"{told} found nothing better by more than one standard error "
            f"({self.gain:.4f} ± {self.noise:.4f}), so {stay}."
        )

    def to_dict(self) -> Json:
        """Return a JSON-ready description."""
        return super().to_dict() | {"sentence": self.sentence}


def tune(
    classifier: ChurnClassifier,
    X: Rows,
    happened: Any,
    *,
    dates: Any,
    accounts: Any,
    maturity_days: int,
    seconds: float,
    storage: Path | None = None,
    name: str = "healthscore",
    seed: int = 0,
    champion: Mapping[str, float] | None = None,
    max_depth: int = MAX_DEPTH,
    n_trials: int | None = None,
    progress: Callable[[int, float | None, float], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Tuned:
    """Search for parameters with a lower out-of-time log loss.

    The parameters in use before and the defaults are tried first, then those that a
    tree-structured Parzen estimator proposes (Bergstra et al. 2011, "Algorithms for
    hyper-parameter optimization"). A trial is tested on one rolling origin after the other and
    given up where it is worse than the median of earlier ones; with three origins a signed-rank
    test could never be sure. What was found replaces what was in use only where it is better by
    more than one standard error of the paired difference over accounts.

    The journal belongs to the data: other rows or settings begin another search in the same file.
    A search that was interrupted goes on with the very trial it was in, and one bounded by
    ``n_trials`` ends as if it had never been interrupted.

    Parameters
    ----------
    classifier : ChurnClassifier
        Holds the defaults, and what is not searched.
    X : DataFrame of n rows
        Signals and the segment column; rows before the hold-out only.
    happened, dates, accounts : arrays of shape (n,)
        Outcomes, observation dates and accounts.
    maturity_days : int
        Days from an observation date to the end of its outcome window.
    seconds : float
        Budget: no trial, and no fold of a trial, begins after it.
    storage : Path or None
        Journal file; None forgets the trials.
    name : str
        Model the search is for.
    seed : int
        Of what is proposed.
    champion : mapping of str to object, or None
        Parameters in use before; None where those are the defaults.
    max_depth : int
        Deepest tree.
    n_trials : int or None
        Most trials, those of earlier runs included.
    progress : callable or None
        Told of the number of trials that ended, the lowest log loss and the seconds left.
    clock : callable
        Seconds from any fixed moment.

    Returns
    -------
    Tuned

    Raises
    ------
    SettingsError
        When the budget is no time at all.
    EvidenceError
        When no split leaves both outcomes to learn from.
    RegistryError
        When the journal is damaged.
    """
    if not seconds >= 0:
        raise SettingsError(
            f"The seconds of a search must be 0 or more, and are {seconds}; correct the number."
        )
    began = clock()
    space = search_space(max_depth)
    own = within(space, classifier.get_params())
    defaults = [own | {"backbone": used} for used in (True, False)]
    # Training tries the defaults with and without the backbone; a champion has made its choice.
    before = defaults if champion is None else [within(space, own | dict(champion))]
    course = Course(classifier, X, happened, dates, accounts, maturity_days, seed)
    with quiet_optuna():
        study = optuna.create_study(
            storage=None if storage is None else open_journal(storage),
            study_name=f"{name}-{course.identity(space)}",
            pruner=optuna.pruners.MedianPruner(),
            load_if_exists=True,
        )
        resumed = len(_ended(study))
        while (left := began + seconds - clock()) > 0:
            ended = _ended(study)
            if progress is not None:
                progress(len(ended), _lowest(study), left)
            if n_trials is not None and len(ended) >= n_trials:
                break
            tried = [trial.params for trial in ended]
            start = next((one for one in before + defaults if one not in tried), None)
            _propose(study, start, seed, len(ended))
            trial = study.ask({**space})
            state, loss = course.run(trial, start is None, lambda: clock() >= began + seconds)
            study.tell(trial, loss, state)
        return _judged(study, before, defaults, course.group_rows, resumed, clock() - began)


def _propose(
    study: optuna.Study,
    start: Parameters | None,
    seed: int,
    number: int,
) -> None:
    """Seed each trial by its number, so that one that was cut short is proposed again."""
    if start is not None:
        study.enqueue_trial(start)
    draw = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    # Trials that other processes have begun say nothing yet; one of them may have been killed.
    study.sampler = optuna.samplers.TPESampler(seed=draw, constant_liar=False)


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _complete(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _lowest(study: optuna.Study) -> float | None:
    return min((_loss(trial) for trial in _complete(study)), default=None)


def _loss(trial: FrozenTrial) -> float:
    return math.inf if trial.value is None else trial.value


def _judged(
    study: optuna.Study,
    before: Sequence[Parameters],
    defaults: Sequence[Parameters],
    group_rows: Codes,
    resumed: int,
    seconds: float,
) -> Tuned:
    ended, complete = _ended(study), _complete(study)
    measured = [t for t in complete if t.params in before]
    measured = measured or [t for t in complete if t.params in defaults]
    in_use = min(measured, key=_loss, default=None)
    best = min(complete, key=_loss, default=None)
    chosen, gain, noise = before[0], None, None
    if in_use is not None and best is not None:
        gain, noise = paired_gain(in_use.user_attrs[LOSSES], best.user_attrs[LOSSES], group_rows)
        chosen = best.params if gain > noise else in_use.params
    sources = {"defaults": defaults, "champion": before, "search": [chosen]}
    return Tuned(
        parameters=dict(chosen),
        source=next(name for name, known in sources.items() if chosen in known),
        log_loss_before=None if in_use is None else _loss(in_use),
        log_loss_after=None if in_use is None else _lowest(study),
        gain=gain,
        noise=noise,
        trials=len(ended),
        resumed=resumed,
        pruned=len(ended) - len(complete),
        seconds=seconds,
    )
