"""One drawn company with a team that acts: what is found of its play, beside what is true."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _drawn import live, nature
from _drawn_company import account_names, write_life
from scipy.special import xlogy

KEYS = ["account_id", "observation_date"]
WITHIN = "[plays]\nwithin_days = 1\n"
# Share of the accounts that the team has the hours to call.
HOURS = 0.1


@dataclass(frozen=True)
class Acted:
    """A company's labelled rows with the truth beside them."""

    frame: pd.DataFrame
    rows: Any
    labelled: Any
    segments: Any


def draw(folder: Path, kind: str, seed: int, accounts: int) -> Acted:
    """Draw a company, write it, and read it as the product does."""
    from pipelines.plays.rows import acted_rows
    from pipelines.project.project import load_project
    from pipelines.project.rows import labelled_rows, segment_settings

    of = nature(seed)
    # A play that differs by segment, none and strong among them, and a team that is not lazy.
    play = np.zeros_like(of.play) if kind == "null" else of.play
    team = "tables" if kind == "null" else kind
    frailty = max(of.frailty, 0.4) if kind == "frailty" else of.frailty
    life = live(
        seed,
        accounts,
        replace(of, acts=(0.3, 0.7)[seed % 2], play=play, team=team, frailty=frailty),
    )
    write_life(folder, life)
    file = folder / "healthscore.toml"
    file.write_text(file.read_text(encoding="utf-8") + WITHIN, encoding="utf-8")
    project = load_project(file)
    labelled = labelled_rows(project)
    truth = pd.concat(life.rows)
    truth = pd.DataFrame(
        {
            "account_id": account_names(truth["account"]),
            "observation_date": truth["date"].astype(labelled.frame["observation_date"].dtype),
            "untreated": truth["untreated"],
            "helped": truth["helped"],
            "treated": truth["treated"],
        }
    )
    frame = labelled.frame.merge(truth, on=KEYS, how="left", validate="1:1")
    return Acted(frame, acted_rows(project), labelled, segment_settings(project, labelled.signals))


def effects(company: Acted) -> dict[str, Any]:
    """Find the play's effect: ours with intervals, the plain difference, and the truth."""
    from models.plays.effects import play_effects

    rows, frame = company.rows.rows, company.frame
    found = play_effects(rows)
    effect = found[0] if found else None
    if effect is None or effect.everywhere is None:
        return {"refused": "" if effect is None else effect.why_not}
    settled = frame["treated"].notna().to_numpy()
    acted = settled & (frame["treated"] == True).to_numpy()  # noqa: E712
    segment = rows.inputs["segment"].to_numpy(dtype=object)
    change = (frame["helped"] - frame["untreated"]).to_numpy(dtype=float)
    told = []
    for one in (effect.everywhere, *effect.segments):
        inside = acted if one.segment == "all" else acted & (segment == one.segment)
        told.append(one.to_dict() | {"true": float(change[inside].mean())})
    return {"effects": told, "effect": effect}


def peers(company: Acted, names: list[str]) -> dict[str, float]:
    """Estimate the effect on those acted on with some peers."""
    rows = company.rows.rows
    inputs = rows.inputs.copy()
    for column in inputs.columns:
        if not pd.api.types.is_numeric_dtype(inputs[column]):
            inputs[column] = pd.factorize(inputs[column])[0]
    matrix = inputs.fillna(inputs.median(numeric_only=True)).fillna(0).to_numpy(dtype=float)
    acted = next(iter(rows.acted.values())).astype(float)
    return {name: _PEERS[name](matrix, acted, rows.happened) for name in names}


def _doubleml(matrix: np.ndarray, acted: np.ndarray, happened: np.ndarray) -> float:
    import doubleml
    from lightgbm import LGBMClassifier

    data = doubleml.DoubleMLData.from_arrays(matrix, happened, acted)
    learner = LGBMClassifier(n_estimators=80, learning_rate=0.05, num_leaves=8, verbose=-1)
    model = doubleml.DoubleMLIRM(data, learner, learner, score="ATTE", n_folds=5)
    return float(model.fit().coef[0])


def _econml(matrix: np.ndarray, acted: np.ndarray, happened: np.ndarray) -> float:
    from econml.dml import CausalForestDML
    from lightgbm import LGBMClassifier, LGBMRegressor

    settings = {"n_estimators": 80, "learning_rate": 0.05, "num_leaves": 8, "verbose": -1}
    forest = CausalForestDML(
        model_y=LGBMRegressor(**settings),
        model_t=LGBMClassifier(**settings),
        discrete_treatment=True,
        n_estimators=200,
        random_state=0,
        n_jobs=1,
    )
    forest.fit(happened, acted.astype(int), X=matrix)
    return float(forest.effect(matrix[acted > 0]).mean())


def _causalml(matrix: np.ndarray, acted: np.ndarray, happened: np.ndarray) -> float:
    from causalml.inference.meta import BaseXRegressor
    from lightgbm import LGBMRegressor

    learner = BaseXRegressor(
        LGBMRegressor(n_estimators=80, learning_rate=0.05, num_leaves=8, verbose=-1)
    )
    change = learner.fit_predict(matrix, acted.astype(int), happened)
    return float(np.asarray(change).ravel()[acted > 0].mean())


_PEERS = {"DoubleML": _doubleml, "EconML": _econml, "causalml": _causalml}


def untreated(company: Acted, effect: Any) -> dict[str, float]:
    """Hold the risk if nobody acts, learnt with and without regard to acts, against the truth.

    Losses are beyond those of the truth, in nats a row, on the held-out dates; and the ARR truly
    kept by calling a tenth of the newest date's accounts, ours over probability times ARR.
    """
    from models.plays.savable import kept_per_hour, levers
    from models.training.learning import learn
    from models.training.splits import time_holdout

    frame, labelled = company.frame, company.labelled
    fold = time_holdout(frame["observation_date"], labelled.maturity_days)
    acted = labelled.acted if labelled.acted is not None else np.zeros(len(frame), dtype=bool)
    test = fold.test[frame["untreated"].notna().to_numpy()[fold.test]]
    true = frame["untreated"].to_numpy(dtype=float)[test]
    figures: dict[str, float] = {}
    said = {}
    for name, rows in (("before", fold.train), ("now", fold.train[~acted[fold.train]])):
        learnt = learn(
            frame.iloc[rows],
            labelled.signals,
            maturity_days=labelled.maturity_days,
            segments=company.segments,
            decisions=labelled.decisions,
        )
        risk = np.clip(learnt.probability(frame.iloc[test]), 1e-6, 1 - 1e-6)
        said[name] = risk
        beyond = xlogy(true, true / risk) + xlogy(1 - true, (1 - true) / (1 - risk))
        figures[f"gap_{name}"] = float(beyond.mean())
        was = acted[test]
        figures[f"gap_{name}_acted_on"] = float(beyond[was].mean()) if was.any() else float("nan")
    newest = frame["observation_date"].to_numpy()[test] == frame["observation_date"].max()
    last = frame.iloc[test[newest]]
    segment = company.rows.rows.inputs["segment"]
    calls = pd.DataFrame(
        {
            "segment": learnt.segment(last),
            "probability": said["now"][newest],
            "arr": 12 * last["mrr"].to_numpy(dtype=float),
        }
    )
    truly = calls["arr"].to_numpy() * (last["untreated"] - last["helped"]).to_numpy(dtype=float)
    few = max(int(HOURS * len(last)), 1)
    by_segment = levers([effect] if effect is not None else [], sorted(set(segment)), {})
    ranked = kept_per_hour(calls, by_segment)
    loss = (calls["probability"] * calls["arr"]).to_numpy()
    ours = np.lexsort(
        (-loss, -ranked["kept_per_hour"].to_numpy(), ranked["standing"] == "better left alone")
    )
    figures["kept_ours"] = float(truly[ours[:few]].sum())
    figures["kept_by_loss"] = float(truly[np.argsort(-loss, kind="stable")[:few]].sum())
    figures["kept_random"] = float(truly.mean() * few)
    return figures


def lalonde() -> dict[str, Any] | None:
    """Compare the job training's effect on having work with the experiment's; None without data.

    Dehejia and Wahba 1999: those trained of the National Supported Work experiment beside people of
    the Current Population Survey, held against the experiment's own controls.
    """
    if importlib.util.find_spec("causaldata") is None:
        return None
    from causaldata import cps_mixtape, nsw_mixtape

    from models.plays.effects import PlayRows, play_effects

    trial, survey = nsw_mixtape.load_pandas().data, cps_mixtape.load_pandas().data
    work = (trial["re78"] > 0).astype(float)
    experiment = float(work[trial.treat == 1].mean() - work[trial.treat == 0].mean())
    everybody = pd.concat([trial[trial.treat == 1], survey], ignore_index=True)
    controls = everybody[["age", "educ", "black", "hisp", "marr", "nodegree", "re74", "re75"]]
    controls = controls.astype(float).assign(segment="all")
    rows = PlayRows(
        inputs=controls,
        accounts=np.arange(len(everybody)).astype(object),
        days=np.zeros(len(everybody), dtype=np.intp),
        happened=(everybody["re78"] <= 0).to_numpy(dtype=float),
        acted={"training": (everybody["treat"] == 1).to_numpy()},
    )
    found = play_effects(rows)[0].everywhere
    told = None if found is None else found.to_dict()
    return {"experiment": -experiment, "found": told}
