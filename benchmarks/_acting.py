"""One drawn company with a team that acts: what is found of its play, beside what is true."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _drawn import live, nature
from _drawn_company import account_names, write_life
from scipy.special import xlogy

from models.arrays import Floats
from models.plays.effects import play_effects
from models.plays.result import PlayResult
from models.plays.savable import kept_per_hour, levers

KEYS = ["account_id", "observation_date"]
WITHIN = "[plays]\nwithin_days = 1\n"
# Share of the accounts that the team has the hours to call.
HOURS = 0.1


@dataclass(frozen=True)
class Acted:
    """A company's labelled rows, with the truth beside them in the frame."""

    project: Any
    labelled: Any
    rows: Any
    frame: pd.DataFrame


def draw(folder: Path, kind: str, seed: int, accounts: int, begins: int = 0) -> Acted:
    """Draw a company whose team acts from a month on, write it, and read it as the product does."""
    from pipelines.plays.rows import acted_of
    from pipelines.project.company import open_company
    from pipelines.project.project import load_project
    from pipelines.project.rows import labelled_rows

    of = nature(seed)
    # A play that differs by segment, none and strong among them, and a team that is not lazy.
    of = replace(
        of,
        acts=(0.3, 0.7)[seed % 2],
        begins=begins,
        play=np.zeros_like(of.play) if kind == "null" else of.play,
        team="tables" if kind == "null" else kind,
        frailty=max(of.frailty, 0.4) if kind == "frailty" else of.frailty,
    )
    life = live(seed, accounts, of=of)
    write_life(folder, life)
    file = folder / "healthscore.toml"
    file.write_text(file.read_text(encoding="utf-8") + WITHIN, encoding="utf-8")
    project = load_project(file)
    with open_company(project) as company:
        labelled = labelled_rows(project, company)
        rows = acted_of(project, company, labelled)
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
    if len(frame) != len(rows.rows.happened):
        raise RuntimeError(f"{rows.gone_before} rows were gone before anybody could act")
    return Acted(project, labelled, rows, frame)


def effects(company: Acted) -> tuple[dict[str, Any], PlayResult | None]:
    """Find the play's effect: ours with intervals, the plain difference, and the truth."""
    rows, frame = company.rows.rows, company.frame
    results = play_effects(rows)
    effect = results[0] if results else None
    if effect is None or effect.everywhere is None:
        return {"refused": "nobody acted" if effect is None else effect.why_not}, None
    acted = frame["treated"].eq(True).to_numpy()
    segment = rows.inputs["segment"].to_numpy(dtype=object)
    change = (frame["helped"] - frame["untreated"]).to_numpy(dtype=float)
    told = [effect.everywhere.to_dict() | {"true": float(change[acted].mean())}]
    for one in effect.segments:
        inside = acted & (segment == one.segment)
        told.append(one.to_dict() | {"true": float(change[inside].mean())})
    return {"effects": told}, effect


def teach(company: Acted, frame: pd.DataFrame) -> Any:
    """Teach a model as the product does."""
    from models.training.learning import learn
    from pipelines.project.rows import learning_of

    return learn(frame, company.labelled.signals, learning_of(company.project, company.labelled))


def untreated(
    company: Acted, effect: PlayResult | None, *, had_nobody_acted: bool
) -> dict[str, float]:
    """Hold the risk if nobody acts against the truth, and the order of calls that follows from it.

    Losses are beyond those of the truth, in nats a row, on the held-out dates: of the product,
    which lets rows acted on teach; of the same without them; and, where asked for, of the same on
    rows whose outcomes are drawn anew as if nobody had acted, which no company has. The ARR is
    what is truly kept by calling a tenth of the newest date's accounts.
    """
    from models.training.splits import time_holdout

    frame = company.frame
    fold = time_holdout(frame["observation_date"], company.labelled.maturity_days)
    acted = frame["treated"].eq(True).to_numpy()
    test = fold.test[frame["untreated"].notna().to_numpy()[fold.test]]
    alone = frame["untreated"].to_numpy(dtype=float)
    figures: dict[str, float] = {}
    learnt = teach(company, frame.iloc[fold.train])
    risk = learnt.probability(frame.iloc[test])
    teachings = {"now": learnt}
    if acted[fold.train].any():
        teachings["left_out"] = teach(company, frame.iloc[fold.train[~acted[fold.train]]])
    if had_nobody_acted:
        teachings["nobody_acted"] = teach(company, _had_nobody_acted(frame.iloc[fold.train]))
    for name, taught in teachings.items():
        beyond = loss_beyond(alone[test], taught.probability(frame.iloc[test]))
        figures[f"gap_{name}"] = float(beyond.mean())
        if acted[test].any():
            figures[f"gap_{name}_acted_on"] = float(beyond[acted[test]].mean())
    newest = (frame["observation_date"] == frame["observation_date"].max()).to_numpy()[test]
    last = frame.iloc[test[newest]]
    return figures | _kept(last, learnt.segment(last), risk[newest], effect)


def loss_beyond(true: Floats, risk: Floats) -> Floats:
    """Loss of a probability beyond that of the truth, in nats a row: (n,)."""
    risk = np.clip(risk, 1e-6, 1 - 1e-6)
    return np.asarray(xlogy(true, true / risk) + xlogy(1 - true, (1 - true) / (1 - risk)))


def _had_nobody_acted(frame: pd.DataFrame) -> pd.DataFrame:
    """Draw the outcome of rows acted on anew, as far as acting changed it."""
    helped, alone = frame["helped"].to_numpy(float), frame["untreated"].to_numpy(float)
    stayed = frame["treated"].eq(True).to_numpy() & (frame["happened"].to_numpy() == 0)
    # Whoever stayed with a play that helps had left without it with this probability.
    saved = np.where(stayed, (alone - helped) / (1 - helped), 0.0)
    drawn = np.random.default_rng(len(frame)).random(len(frame)) < np.nan_to_num(saved)
    return frame.assign(happened=np.where(drawn, 1, frame["happened"]))


def _kept(
    last: pd.DataFrame, segment: Any, risk: Floats, effect: PlayResult | None
) -> dict[str, float]:
    """ARR truly kept by the same hours: ours, the largest expected loss, and any accounts."""
    arr = 12 * last["mrr"].to_numpy(dtype=float)
    truly = arr * (last["untreated"] - last["helped"]).to_numpy(dtype=float)
    calls = pd.DataFrame({"segment": segment, "probability": risk, "arr": arr})
    results = [] if effect is None else [effect]
    ranked = kept_per_hour(calls, levers(results, sorted(set(segment)), {}))
    loss = risk * arr
    harmed = (ranked["standing"] == "better left alone").to_numpy()
    ours = np.lexsort((-loss, -ranked["kept_per_hour"].to_numpy(), harmed))
    few = max(int(HOURS * len(last)), 1)
    return {
        "kept_ours": float(truly[ours[:few]].sum()),
        "kept_by_loss": float(truly[np.argsort(-loss, kind="stable")[:few]].sum()),
        "kept_random": float(truly.mean() * few),
        "kept_at_best": float(np.sort(truly)[::-1][:few].sum()),
        "by_evidence": float((ranked["kept"] > 0).any()),
    }
