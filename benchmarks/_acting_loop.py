"""A company that acts on its own scores for two years: what does its model tell, and the truth?"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _acting import WITHIN, loss_beyond
from _acting_watch import status
from _drawn import DAYS, EDGES, Life, months_of, nature
from _drawn_company import account_names, write_life

BEGINS, MONTHS, EVERY = 12, 36, 3
# The riskiest tenth is called, and seven in ten of them are reached.
CALLED, REACHED = 0.1, 0.7
LEARNINGS = ("now", "as_others", "left_out")


def loop(folder: Path, seed: int, accounts: int, play: float = -0.9) -> dict[str, Any]:
    """Let a company act on its scores from the second year on, teaching a model every quarter.

    The team is handed the scores of the product as it is ("now"). Each month its risk and those of
    other learnings are held against the true risk had nobody acted: "as_others" does not know which
    rows were acted on, "left_out" is taught without them, "first" is the model of the quiet year.
    Outcomes are judged each month as a monitor does, against all accounts ("before") and against
    those left alone ("now").
    """
    of = replace(nature(seed), team="scores", begins=BEGINS, acts=REACHED)
    of = replace(of, play=np.full_like(of.play, play))
    life = Life(of, accounts, np.random.default_rng([seed, 12]), MONTHS)
    models: dict[str, Any] = {}
    beyond: list[dict[str, float]] = []
    scored: list[pd.DataFrame] = []
    states: dict[str, list[str]] = {"before": [], "now": []}
    for month in months_of(life, seed):
        if month < BEGINS:
            continue
        if scored:
            _outcomes(life, scored[-1])
            beyond.append(_beyond(scored[-1]))
        told, taught = _month(folder, life, month, models)
        if taught:
            started = month
        elif month > started:
            for name, state in _judged(scored, month, started).items():
                states[name].append(state)
        life.worry = _worry(life, told)
        scored.append(told.assign(month=month))
    _outcomes(life, scored[-1])
    beyond.append(_beyond(scored[-1]))
    rows = pd.concat(scored)
    acted = rows[rows["treated"]]
    means = pd.DataFrame(beyond[EVERY:]).mean()
    return {
        "seed": seed,
        "rows": len(rows),
        "acted_on": len(acted),
        "true_acted_on": float(acted["untreated"].sum()),
        **{f"told_acted_on_{name}": float(acted[name].sum()) for name in (*LEARNINGS, "first")},
        **{f"gap_{name}": float(value) for name, value in means.items()},
        "checks": len(states["now"]),
        **{f"retrain_{name}": told.count("retrain") for name, told in states.items()},
    }


def _month(folder: Path, life: Life, month: int, models: dict[str, Any]) -> tuple[Any, bool]:
    """Score every account on the first of a month; teach anew where a quarter is over."""
    from models.training.learning import learn
    from pipelines.project.company import open_company
    from pipelines.project.feature_table import feature_rows_of_date
    from pipelines.project.project import load_project
    from pipelines.project.rows import labelled_rows, learning_of

    write_life(folder, life, int(DAYS[month]))
    file = folder / "healthscore.toml"
    file.write_text(file.read_text(encoding="utf-8") + WITHIN, encoding="utf-8")
    project = load_project(file)
    teaches = (month - BEGINS) % EVERY == 0
    with open_company(project) as company:
        if teaches:
            labelled = labelled_rows(project, company)
            learning, frame = learning_of(project, labelled), labelled.frame
            alone = np.ones(len(frame), bool)
            if "acted_on" in frame.columns:
                alone = ~frame["acted_on"].to_numpy(bool)
            models["now"] = learn(frame, labelled.signals, learning)
            models["left_out"] = (
                models["now"] if alone.all() else learn(frame[alone], labelled.signals, learning)
            )
            unmarked = frame.drop(columns="acted_on", errors="ignore")
            models["as_others"] = learn(unmarked, labelled.signals, learning)
            models.setdefault("first", models["now"])
        today = feature_rows_of_date(project, company, EDGES[month].date()).frame()
    told = today[["account_id"]].assign(segment=models["now"].segment(today))
    return told.assign(
        **{name: model.probability(today) for name, model in models.items()}
    ), teaches


def _worry(life: Life, told: pd.DataFrame) -> np.ndarray:
    """Put the riskiest on the list of who is called."""
    risk = pd.Series(told["now"].to_numpy(), index=told["account_id"])
    risk = risk.reindex(account_names(np.arange(life.accounts))).to_numpy()
    few = risk >= np.nanquantile(risk, 1 - CALLED)
    return np.where(few, np.inf, -np.inf)


def _outcomes(life: Life, told: pd.DataFrame) -> None:
    """Put what became of the accounts of a month beside what was told of them."""
    last = life.rows[-1]
    truth = last.assign(account_id=account_names(last["account"])).set_index("account_id")
    for name in ("untreated", "treated"):
        told[name] = truth[name].reindex(told["account_id"]).to_numpy()
    told["treated"] = told["treated"].eq(True)
    month = int(told["month"].iloc[0])
    left = pd.Series(life.left, index=account_names(np.arange(life.accounts)))
    told["happened"] = (left.reindex(told["account_id"]) < DAYS[month + 1]).to_numpy().astype(int)


def _beyond(told: pd.DataFrame) -> dict[str, float]:
    judged = told[told["untreated"].notna()]
    true = judged["untreated"].to_numpy(float)
    return {
        name: float(loss_beyond(true, judged[name].to_numpy()).mean())
        for name in (*LEARNINGS, "first")
    }


def _judged(scored: list[pd.DataFrame], month: int, started: int) -> dict[str, str]:
    """Decide from the outcomes since the newest training."""
    rows = pd.concat([one for one in scored if one["month"].iloc[0] >= started])
    rows = rows.assign(probability=rows["now"], observation_date=EDGES[rows["month"]])
    day, begins = EDGES[month], EDGES[started] - timedelta(days=1)
    return {
        "before": status(rows, day, begins),
        "now": status(rows[~rows["treated"]], day, begins),
    }
