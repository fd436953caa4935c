"""The search for parameters: what it compares, when it stops, how it is taken up again."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState
from scipy.special import expit
from sklearn.metrics import log_loss

from features.errors import EvidenceError, RegistryError, SettingsError
from models.churn.classifier import ChurnClassifier
from models.training import tuning_trial
from models.training.splits import rolling_origins
from models.training.tuning import tune
from models.training.tuning_journal import open_journal
from models.training.tuning_trial import paired_gain, search_space, within

ROOT = Path(__file__).resolve().parents[3]
NAMES = ["plan", "usage_28d", "usage_change", "tickets_90d", "billing_period"]
ROUNDS = (0, 5, 20)
MATURITY = 44
# So few and slow rounds of shallow trees from the base rate learn next to nothing.
POOR = {"backbone": False, "learning_rate": 0.02, "max_depth": 2, "min_child_samples": 500}


class Clock:
    """Every look at it takes a second; it may do something when it strikes."""

    def __init__(self, strikes: int = -1, alarm=None) -> None:
        self.now, self.strikes, self.alarm = 0.0, strikes, alarm

    def __call__(self) -> float:
        self.now += 1
        if self.now == self.strikes:
            self.alarm()
        return self.now


@pytest.fixture(autouse=True)
def _few_rounds(monkeypatch) -> None:
    monkeypatch.setattr(tuning_trial, "ROUNDS", ROUNDS)


@pytest.fixture(scope="module")
def rows(make_company):
    return make_company(240, 6, seed=1)


@pytest.fixture(scope="module")
def search(rows):
    """Search on the small company, or on parts of it."""

    def run(frame=rows, classifier=None, **changed):
        options = {"seconds": math.inf, "n_trials": 4, "seed": 5} | changed
        return tune(
            classifier or ChurnClassifier(segment_column="plan", random_state=0),
            frame[NAMES],
            frame["happened"],
            dates=frame["observation_date"],
            accounts=frame["account_id"],
            maturity_days=MATURITY,
            **options,
        )

    return run


def trials(journal: Path) -> list[list[optuna.trial.FrozenTrial]]:
    """Trials of each study in a journal."""
    storage = open_journal(journal)
    return [storage.get_all_trials(study._study_id) for study in storage.get_all_studies()]


def ended(journal: Path) -> list[dict[str, float]]:
    (found,) = trials(journal)
    return [t.params for t in found if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]


def losses_of(rows, parameters) -> tuple[float, np.ndarray]:
    """Out-of-time loss of each tested row at the best number of rounds, the long way round."""
    frame = rows.reset_index(drop=True)
    by_rounds = []
    for rounds in ROUNDS:
        parts = []
        for fold in rolling_origins(frame["observation_date"], MATURITY):
            known, later = frame.iloc[fold.train], frame.iloc[fold.test]
            model = ChurnClassifier(
                segment_column="plan", random_state=0, n_rounds=rounds, **parameters
            ).fit(known[NAMES], known["happened"])
            risk = expit(model.decision_function(later[NAMES]))
            happened = later["happened"].to_numpy()
            parts.append(-np.log(np.where(happened == 1, risk, 1 - risk)))
            assert parts[-1].mean() == pytest.approx(log_loss(happened, risk, labels=[0, 1]))
        by_rounds.append(np.concatenate(parts))
    best = min(by_rounds, key=np.mean)
    return float(best.mean()), best


def test_losses_and_their_difference_are_those_of_models_fitted_one_by_one(
    rows, search, monkeypatch
) -> None:
    # As many groups as accounts: then the noise is the usual error over accounts.
    monkeypatch.setattr(tuning_trial, "ACCOUNT_GROUPS", rows["account_id"].nunique())
    found = search(champion=POOR, n_trials=8)
    assert (found.trials, found.resumed) == (8, 0)
    assert found.source != "champion"
    before, before_rows = losses_of(rows, POOR)
    after, after_rows = losses_of(rows, found.parameters)
    assert found.log_loss_before == pytest.approx(before, abs=1e-9)
    assert found.log_loss_after == pytest.approx(after, abs=1e-9)
    assert found.gain == pytest.approx(before - after, abs=1e-9)
    tested = [fold.test for fold in rolling_origins(rows["observation_date"], MATURITY)]
    accounts = rows["account_id"].to_numpy()[np.concatenate(tested)]
    difference = before_rows - after_rows - found.gain
    sums = np.array([difference[accounts == name].sum() for name in np.unique(accounts)])
    # Every account has a row on every date, so this is a plain mean over accounts.
    expected = sums.std(ddof=1) * np.sqrt(len(sums)) / len(difference)
    assert found.noise == pytest.approx(expected, rel=1e-9)
    assert found.gain > found.noise
    assert "lowered the out-of-time log loss from " in found.sentence
    json.dumps(found.to_dict(), allow_nan=False)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=30), st.integers(1, 50))
def test_the_noise_of_groups_of_one_size_is_that_of_a_mean(differences, size) -> None:
    gain, noise = paired_gain(differences, np.zeros(len(differences)), [size] * len(differences))
    means = np.array(differences) / size
    assert gain == pytest.approx(means.mean(), abs=1e-9)
    assert noise == pytest.approx(means.std(ddof=1) / np.sqrt(len(means)), abs=1e-9)


def test_one_account_is_no_evidence_of_a_difference() -> None:
    assert paired_gain([3.0, 0.0], [1.0, 0.0], [10, 0]) == (0.2, math.inf)


def test_every_searched_parameter_is_one_of_the_model_and_its_default_is_inside() -> None:
    defaults = ChurnClassifier().get_params()
    assert {"n_rounds", "random_state"}.isdisjoint(search_space())
    assert within(search_space(), defaults) == {name: defaults[name] for name in search_space()}
    capped = within(search_space(3), defaults | {"learning_rate": 9, "num_leaves": 1000})
    assert (capped["max_depth"], capped["learning_rate"], capped["num_leaves"]) == (3, 0.2, 48)
    assert within(search_space(1), defaults)["max_depth"] == 1


def test_equal_seeds_search_alike_on_any_number_of_threads(search, tmp_path) -> None:
    first = search(storage=tmp_path / "a", n_trials=12)
    threads = ChurnClassifier(segment_column="plan", random_state=0, n_jobs=2)
    second = search(storage=tmp_path / "b", n_trials=12, classifier=threads)
    assert ended(tmp_path / "a") == ended(tmp_path / "b")
    assert first.parameters == second.parameters
    search(storage=tmp_path / "c", seed=6)
    assert ended(tmp_path / "c")[:1] == ended(tmp_path / "a")[:1]
    assert ended(tmp_path / "c")[1:] != ended(tmp_path / "a")[1:4]


def test_a_pruned_trial_was_worse_than_the_median_and_costs_no_last_fold(search, tmp_path) -> None:
    found = search(storage=tmp_path / "journal", n_trials=20)
    (told,) = trials(tmp_path / "journal")
    pruned = [trial for trial in told if trial.state is TrialState.PRUNED]
    assert 0 < len(pruned) == found.pruned < found.trials == 20
    for trial in pruned:
        step, loss = max(trial.intermediate_values.items())
        earlier = [t for t in told[: trial.number] if t.state is TrialState.COMPLETE]
        assert step < 2
        assert len(earlier) >= 5
        assert loss > np.median([t.intermediate_values[step] for t in earlier])
    assert found.log_loss_after == min(t.value for t in told if t.state is TrialState.COMPLETE)


def test_what_is_in_use_is_tried_first_then_the_defaults(search, tmp_path) -> None:
    champion = {"learning_rate": 0.1, "max_depth": 30, "backbone": False, "n_rounds": 70}
    found = search(storage=tmp_path / "journal", champion=champion, n_trials=1)
    assert (found.source, found.gain, found.noise) == ("champion", 0.0, 0.0)
    assert found.parameters == within(search_space(), ChurnClassifier().get_params() | champion)
    assert "so the champion’s parameters stay." in found.sentence
    found = search(storage=tmp_path / "journal", champion=champion, n_trials=2)
    assert found.resumed == 1
    assert ended(tmp_path / "journal")[1] == within(search_space(), ChurnClassifier().get_params())


def test_the_defaults_replace_a_champion_that_is_clearly_worse(search) -> None:
    found = search(champion=POOR, n_trials=3)
    assert found.source == "defaults"
    assert found.gain > found.noise
    assert found.parameters == within(search_space(), ChurnClassifier().get_params())


def test_a_new_champion_joins_a_search_that_has_begun(search, tmp_path) -> None:
    search(storage=tmp_path / "journal", n_trials=7)
    found = search(storage=tmp_path / "journal", champion=POOR, n_trials=8)
    (told,) = trials(tmp_path / "journal")
    # It is what all else is compared with, so it is not given up half-way, bad as it is.
    assert told[-1].params.items() >= POOR.items()
    assert told[-1].state is TrialState.COMPLETE
    assert found.log_loss_before == told[-1].value


@pytest.mark.parametrize("strikes", [3, 9, 13, 16, 17])
def test_an_interrupted_search_ends_as_if_it_had_not_been(search, tmp_path, strikes) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    whole = search(storage=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        search(storage=tmp_path / "parts", clock=Clock(strikes, stop))
    again = search(storage=tmp_path / "parts")
    assert ended(tmp_path / "parts") == ended(tmp_path / "whole")
    assert 0 <= again.resumed < again.trials == 4
    assert (again.parameters, again.gain, again.noise) == (
        whole.parameters,
        whole.gain,
        whole.noise,
    )


KILLED = """
import os, signal, sys
import pandas as pd
from models.training import tuning_trial
from models.churn.classifier import ChurnClassifier
from models.training.tuning import tune

tuning_trial.ROUNDS = {rounds}
looks = 0

def clock():
    global looks
    looks += 1
    if looks == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return float(looks)

frame = pd.read_parquet({rows!r})
tune(
    ChurnClassifier(segment_column="plan", random_state=0), frame[{names}], frame["happened"],
    dates=frame["observation_date"], accounts=frame["account_id"], maturity_days={maturity},
    seconds=1e9, n_trials=4, seed=5, storage=__import__("pathlib").Path({journal!r}), clock=clock,
)
"""


def test_a_killed_search_is_taken_up_in_the_middle_of_a_trial(rows, search, tmp_path) -> None:
    journal = tmp_path / "journal"
    rows.to_parquet(tmp_path / "rows.parquet")
    code = KILLED.format(
        rounds=ROUNDS,
        rows=str(tmp_path / "rows.parquet"),
        names=NAMES,
        maturity=MATURITY,
        journal=str(journal),
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    (told,) = trials(journal)
    assert [trial.state.name for trial in told] == ["COMPLETE", "COMPLETE", "RUNNING"]
    assert told[-1].intermediate_values
    with journal.open("ab") as file:
        file.write(b'{"op_code":5,"worker_id":"half a li')
    again = search(frame=rows, storage=journal)
    assert (again.trials, again.resumed) == (4, 2)
    search(storage=tmp_path / "whole")
    assert ended(journal) == ended(tmp_path / "whole")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"garbage\n", "line 1 is not JSON"),
        (b'{"op_code":0}\n\x00\x00\xff\n', "line 2 is not JSON"),
        (b"[]\n", "TypeError when it is read"),
        (b'{"op_code":0}\n', "KeyError when it is read"),
        (b'{"op_code":77,"worker_id":"a"}\n', "AssertionError when it is read"),
    ],
)
def test_a_damaged_journal_is_named_and_left_as_it_is(search, tmp_path, text, found) -> None:
    journal = tmp_path / "journal"
    journal.write_bytes(text)
    with pytest.raises(RegistryError) as refused:
        search(storage=journal)
    assert str(refused.value) == (
        f"The journal of the search for parameters '{journal}' is damaged ({found}); move it away "
        "to begin a new search, or train without one."
    )
    assert journal.read_bytes() == text
    assert [path.name for path in tmp_path.iterdir()] == ["journal"]


def test_other_data_settings_and_models_never_share_trials(rows, search, tmp_path) -> None:
    journal = tmp_path / "journal"
    search(storage=journal, n_trials=2)
    flipped = rows.assign(happened=rows["happened"].where(rows.index != 3, 1 - rows["happened"]))
    moved = rows.assign(usage_28d=rows["usage_28d"] + (rows.index == 7))
    renamed = rows.assign(account_id=rows["account_id"].replace("A-0001", "A-0002"))
    later = rows.assign(observation_date=rows["observation_date"] + np.timedelta64(1, "D"))
    others = [{"frame": frame} for frame in (flipped, moved, renamed, later)]
    others += [{"max_depth": 4}, {"name": "healthscore-expansion"}, {"seed": 4}]
    others += [{"classifier": ChurnClassifier(segment_column="plan", random_state=1)}]
    for number, other in enumerate(others, start=2):
        assert search(storage=journal, n_trials=1, **other).resumed == 0
        assert len(trials(journal)) == number
    assert search(storage=journal, n_trials=2).resumed == 2


@pytest.fixture
def slow_fits(monkeypatch) -> Clock:
    """A clock that only fitting moves, by ten seconds."""
    clock = Clock()
    clock.now = 100.0
    fit = ChurnClassifier.fit

    def slow(self, X, y):
        clock.now += 10
        return fit(self, X, y)

    monkeypatch.setattr(ChurnClassifier, "fit", slow)
    return clock


@pytest.mark.parametrize(
    ("seconds", "fits", "complete"), [(0, 0, 0), (1, 1, 0), (20, 2, 0), (21, 3, 1), (45, 5, 1)]
)
def test_no_fold_begins_after_the_budget(
    search, slow_fits, tmp_path, seconds, fits, complete
) -> None:
    found = search(
        seconds=seconds, n_trials=None, clock=lambda: slow_fits.now, storage=tmp_path / "journal"
    )
    assert (slow_fits.now - 100) / 10 == fits
    assert found.trials == complete
    assert found.source == "defaults"
    if not complete:
        assert found.log_loss_before is found.log_loss_after is found.gain is found.noise is None
        assert found.sentence == (
            f"No trial ended within {10 * fits} seconds, so the defaults stay; "
            "give the search more seconds."
        )


def test_progress_tells_of_trials_the_best_loss_and_the_seconds_left(search, slow_fits) -> None:
    told = []
    found = search(
        seconds=95,
        n_trials=None,
        clock=lambda: slow_fits.now,
        progress=lambda *arguments: told.append(arguments),
    )
    assert [number for number, _, _ in told] == list(range(len(told)))
    assert [left for _, _, left in told[:3]] == [95, 65, 35]
    assert told[0][1] is None
    assert told[-1][1] >= found.log_loss_after


@pytest.mark.parametrize("seconds", [-1, -math.inf, math.nan])
def test_a_budget_is_never_negative(search, seconds) -> None:
    with pytest.raises(SettingsError) as refused:
        search(seconds=seconds)
    assert str(refused.value) == (
        f"The seconds of a search must be 0 or more, and are {seconds}; correct the number."
    )


def test_folds_with_one_class_are_left_out_and_one_date_is_split_by_accounts(rows, search) -> None:
    quiet = rows["observation_date"] < "2025-03-01"
    found = search(frame=rows.assign(happened=rows["happened"].where(~quiet, 0)), n_trials=1)
    assert 0 < found.log_loss_before < 1
    one = rows[rows["observation_date"] == "2025-02-01"]
    assert 0 < search(frame=one, n_trials=1).log_loss_before < 1


def test_one_outcome_alone_is_refused(rows, search) -> None:
    with pytest.raises(EvidenceError) as refused:
        search(frame=rows.assign(happened=0))
    assert str(refused.value) == (
        "A search for parameters needs earlier dates or other accounts that hold both outcomes to "
        "learn from; observe more dates or more accounts."
    )


def test_optuna_is_silent_and_left_as_it_was(search, tmp_path, capfd) -> None:
    level = optuna.logging.get_verbosity()
    search(storage=tmp_path / "new" / "folder" / "journal", n_trials=2)
    assert (optuna.logging.get_verbosity(), capfd.readouterr()) == (level, ("", ""))
