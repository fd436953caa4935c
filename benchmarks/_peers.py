"""What people would train instead, each as well as its own users know how.

Every peer reads the same signals of the same training rows. Its settings and its number of rounds
are chosen by log loss on later dates inside those rows, purged like every split of the product;
then it is fitted again on all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss

from features.catalog import Signal
from models.arrays import Codes, Floats
from models.training.splits import Fold, rolling_origins

MOST_ROUNDS, PATIENCE = 1_500, 50
# Beyond, the newest origin alone holds a thousand positives, and three would take a day.
ROWS_FOR_ALL_ORIGINS = 100_000
EBM_BAGS = 8

Attempt = Callable[[pd.DataFrame, pd.DataFrame], tuple[Floats, float]]


@dataclass(frozen=True)
class Rows:
    """Training rows, and what a peer may know about them."""

    frame: pd.DataFrame
    signals: tuple[Signal, ...]
    maturity_days: int
    trials: int
    threads: int
    seed: int = 1

    @property
    def numeric(self) -> list[str]:
        return [signal.name for signal in self.signals if not signal.is_categorical]

    @property
    def categorical(self) -> list[str]:
        return [signal.name for signal in self.signals if signal.is_categorical]

    def folds(self) -> list[Fold]:
        """Rolling origins inside the training rows."""
        origins = rolling_origins(self.frame["observation_date"], self.maturity_days)
        return origins if len(self.frame) <= ROWS_FOR_ALL_ORIGINS else origins[-1:]

    def inputs(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Signals with the training rows' categories; another one is unknown."""
        levels = {
            name: pd.CategoricalDtype(sorted(self.frame[name].dropna().unique()))
            for name in self.categorical
        }
        return frame[[*self.numeric, *self.categorical]].astype(levels)


@dataclass(frozen=True)
class Fitted:
    """A fitted peer: its probabilities, how it was set, and its SHAP values where it has them."""

    probability: Callable[[pd.DataFrame], Floats]
    about: dict[str, Any]
    contributions: Callable[[pd.DataFrame], Floats] | None = None


def lightgbm(rows: Rows) -> Fitted:
    """Tune LightGBM with Optuna (TPE, pruned), from settings that suit such data onward."""
    import lightgbm as lgb
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    names = [signal.name for signal in rows.signals]
    fixed = {"objective": "binary", "bagging_freq": 1, "verbosity": -1}
    fixed |= {"num_threads": rows.threads, "seed": rows.seed}

    def data(frame: pd.DataFrame) -> lgb.Dataset:
        return lgb.Dataset(rows.inputs(frame)[names], frame["happened"])

    def objective(trial: optuna.Trial) -> float:
        parameters = fixed | {
            "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.15, log=True),
            "num_leaves": trial.suggest_int("num_leaves", 4, 64, log=True),
            "min_child_samples": trial.suggest_int("min_child_samples", 10, 400, log=True),
            "feature_fraction": trial.suggest_float("feature_fraction", 0.2, 1.0),
            "bagging_fraction": trial.suggest_float("bagging_fraction", 0.5, 1.0),
            "lambda_l2": trial.suggest_float("lambda_l2", 1e-3, 100.0, log=True),
        }

        def attempt(known: pd.DataFrame, later: pd.DataFrame) -> tuple[Floats, float]:
            stopper = lgb.early_stopping(PATIENCE, verbose=False)
            booster = lgb.train(
                parameters, data(known), MOST_ROUNDS, valid_sets=[data(later)], callbacks=[stopper]
            )
            return booster.predict(rows.inputs(later)[names]), booster.best_iteration

        loss, rounds = _on_later_dates(rows, attempt, trial)
        trial.set_user_attr("rounds", rounds)
        return loss

    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=rows.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
    )
    study.enqueue_trial(
        {"learning_rate": 0.03, "num_leaves": 15, "min_child_samples": 50}
        | {"feature_fraction": 0.6, "bagging_fraction": 0.8, "lambda_l2": 1.0}
    )
    study.optimize(objective, n_trials=rows.trials)
    rounds = max(1, round(study.best_trial.user_attrs["rounds"]))
    booster = lgb.train(fixed | study.best_params, data(rows.frame), rounds)
    return Fitted(
        lambda frame: booster.predict(rows.inputs(frame)[names]),
        {"trials": rows.trials, "rounds": rounds, **study.best_params},
        lambda frame: booster.predict(rows.inputs(frame)[names], pred_contrib=True)[:, :-1],
    )


def hist_gradient_boosting(rows: Rows) -> Fitted:
    """Let scikit-learn's boosting stop early on later dates, at each of three sizes of tree."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    def model(leaves: int, rounds: int, **how: Any) -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(
            learning_rate=0.05,
            max_leaf_nodes=leaves,
            max_iter=rounds,
            min_samples_leaf=50,
            l2_regularization=1.0,
            max_features=0.6,
            random_state=rows.seed,
            **how,
        )

    def attempt_with(leaves: int) -> Attempt:
        def attempt(known: pd.DataFrame, later: pd.DataFrame) -> tuple[Floats, float]:
            stopped = model(leaves, MOST_ROUNDS, early_stopping=True, n_iter_no_change=PATIENCE)
            X_val, y_val = rows.inputs(later), later["happened"]
            stopped.fit(rows.inputs(known), known["happened"], X_val=X_val, y_val=y_val)
            best = int(np.argmax(stopped.validation_score_))
            risk = next(
                stage
                for count, stage in enumerate(stopped.staged_predict_proba(X_val), start=1)
                if count >= best
            )
            return risk[:, 1], max(best, 1)

        return attempt

    leaves, rounds = _chosen(rows, [4, 8, 16, 31], attempt_with)
    fitted = model(leaves, round(rounds), early_stopping=False)
    fitted.fit(rows.inputs(rows.frame), rows.frame["happened"])
    about = {"max_leaf_nodes": leaves, "rounds": round(rounds)}
    return Fitted(lambda frame: fitted.predict_proba(rows.inputs(frame))[:, 1], about)


def catboost(rows: Rows) -> Fitted:
    """Let CatBoost stop early on later dates, at each of three depths."""
    from catboost import CatBoostClassifier

    def model(depth: int, rounds: int, **how: Any) -> CatBoostClassifier:
        return CatBoostClassifier(
            iterations=rounds,
            # Fixed: CatBoost's own choice depends on the number of rows and rounds.
            learning_rate=0.05,
            depth=depth,
            cat_features=rows.categorical,
            random_seed=rows.seed,
            thread_count=rows.threads,
            allow_writing_files=False,
            verbose=False,
            **how,
        )

    def attempt_with(depth: int) -> Attempt:
        def attempt(known: pd.DataFrame, later: pd.DataFrame) -> tuple[Floats, float]:
            stopped = model(depth, MOST_ROUNDS, early_stopping_rounds=PATIENCE)
            held = (_as_text(rows, later), later["happened"])
            stopped.fit(_as_text(rows, known), known["happened"], eval_set=held)
            return stopped.predict_proba(held[0])[:, 1], stopped.tree_count_

        return attempt

    depth, rounds = _chosen(rows, [3, 4, 6], attempt_with)
    fitted = model(depth, round(rounds))
    fitted.fit(_as_text(rows, rows.frame), rows.frame["happened"])
    about = {"depth": depth, "rounds": round(rounds)}
    return Fitted(lambda frame: fitted.predict_proba(_as_text(rows, frame))[:, 1], about)


def explainable_boosting(rows: Rows) -> Fitted:
    """Choose the interactions of interpret's EBM on later dates; each bag holds accounts out.

    An EBM stops early inside its bags and owes its accuracy to their mean. Bags are drawn by
    account here, so that the rows of one account never stop their own fit.
    """
    from interpret.glassbox import ExplainableBoostingClassifier

    def fit(interactions: int, frame: pd.DataFrame) -> ExplainableBoostingClassifier:
        model = ExplainableBoostingClassifier(
            interactions=interactions,
            outer_bags=EBM_BAGS,
            n_jobs=rows.threads,
            random_state=rows.seed,
        )
        bags = _bags(frame["account_id"], rows.seed)
        return model.fit(_as_text(rows, frame), frame["happened"].to_numpy(), bags=bags)

    def attempt_with(interactions: int) -> Attempt:
        def attempt(known: pd.DataFrame, later: pd.DataFrame) -> tuple[Floats, float]:
            model = fit(interactions, known)
            return model.predict_proba(_as_text(rows, later))[:, 1], 0

        return attempt

    interactions, _ = _chosen(rows, [0, 10], attempt_with)
    fitted = fit(interactions, rows.frame)
    about = {"interactions": interactions, "outer_bags": EBM_BAGS}
    return Fitted(lambda frame: fitted.predict_proba(_as_text(rows, frame))[:, 1], about)


def logistic_regression(rows: Rows) -> Fitted:
    """Standardise log1p of what is counted, mark what is missing, and choose C on later dates."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    skewed = {"count", "days", "money", "change"}
    units = {signal.name: signal.unit for signal in rows.signals}
    long = [name for name in rows.numeric if units[name] in skewed]
    short = [name for name in rows.numeric if units[name] not in skewed]

    def model(strength: float) -> Pipeline:
        def numbers() -> list[Any]:
            return [SimpleImputer(strategy="median", add_indicator=True), StandardScaler()]

        return make_pipeline(
            make_column_transformer(
                (make_pipeline(FunctionTransformer(_signed_log), *numbers()), long),
                (make_pipeline(*numbers()), short),
                (OneHotEncoder(handle_unknown="ignore"), rows.categorical),
                sparse_threshold=0,
            ),
            LogisticRegression(C=strength, solver="newton-cholesky", max_iter=200),
        )

    def attempt_with(strength: float) -> Attempt:
        def attempt(known: pd.DataFrame, later: pd.DataFrame) -> tuple[Floats, float]:
            fitted = model(strength).fit(_as_text(rows, known), known["happened"])
            return fitted.predict_proba(_as_text(rows, later))[:, 1], 0

        return attempt

    strength, _ = _chosen(rows, [0.001, 0.003, 0.01, 0.03, 0.1, 1.0], attempt_with)
    fitted = model(strength).fit(_as_text(rows, rows.frame), rows.frame["happened"])
    return Fitted(lambda frame: fitted.predict_proba(_as_text(rows, frame))[:, 1], {"C": strength})


def _on_later_dates(rows: Rows, attempt: Attempt, trial: Any = None) -> tuple[float, float]:
    """Log loss over the tested rows of every origin, and the mean of their best rounds."""
    total, tested, rounds = 0.0, 0, []
    for step, fold in enumerate(rows.folds()):
        known, later = rows.frame.iloc[fold.train], rows.frame.iloc[fold.test]
        risk, best = attempt(known, later)
        total += log_loss(later["happened"], risk, labels=[0, 1]) * len(later)
        tested += len(later)
        rounds.append(best)
        if trial is not None:
            from optuna import TrialPruned

            trial.report(total / tested, step)
            if trial.should_prune():
                raise TrialPruned
    return total / tested, float(np.mean(rounds))


def _chosen(
    rows: Rows, candidates: Sequence[Any], attempt_with: Callable[[Any], Attempt]
) -> tuple[Any, float]:
    tried = {candidate: _on_later_dates(rows, attempt_with(candidate)) for candidate in candidates}
    best = min(tried, key=lambda candidate: tried[candidate][0])
    return best, tried[best][1]


def _as_text(rows: Rows, frame: pd.DataFrame) -> pd.DataFrame:
    """Signals with categories as text, an unknown one named so."""
    texts = frame[rows.categorical].astype(object).where(frame[rows.categorical].notna(), "unknown")
    return pd.concat([frame[rows.numeric], texts.astype(str)], axis=1)


def _signed_log(values: Any) -> Any:
    return np.sign(values) * np.log1p(np.abs(values))


def _bags(accounts: pd.Series[Any], seed: int) -> Codes:
    """Hold out another 15 % of the accounts in each bag: -1 where they are, 1 elsewhere."""
    codes, names = pd.factorize(accounts)
    held = np.random.default_rng(seed).random((len(names), EBM_BAGS)) < 0.15
    return np.where(held, -1, 1).astype(np.int8)[codes]
