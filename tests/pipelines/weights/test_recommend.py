"""Weights recommended to a company: replayed on the champion's hold-out, equal to recomputation."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.catalog import EVERYBODY
from features.errors import EvidenceError, RegistryError
from models.training.splits import left_alone
from pipelines.project.project import load_project
from pipelines.weights.recommend import Recommended, effects, recommend
from pipelines.weights.rows import RECOMMENDED, TODAY, ReplayRows, replay_rows
from tests.models.ranked import auc_within

pytestmark = pytest.mark.xdist_group("recommend")

WRONG = """
[scorecard]
weights = { usage = 5, surveys = 55, relationship = 20, support = 15, payments = 5 }
"""


@pytest.fixture(scope="module")
def both(scored) -> tuple[ReplayRows, Recommended]:
    """What was recommended, and the replayed rows it came from: they are dear to build."""
    seen = []

    def watched(*given):
        seen.append(replay_rows(*given))
        return seen[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.weights.recommend.replay_rows", watched)
        found = recommend(load_project(_with(scored.config, WRONG)))
    return seen[0], found


@pytest.fixture(scope="module")
def known(both) -> ReplayRows:
    return both[0]


@pytest.fixture(scope="module")
def recommended(both) -> Recommended:
    return both[1]


def _with(config: Path, text: str) -> Path:
    """Write a configuration beside another, with a scorecard of its own."""
    path = config.with_name("scorecard.toml")
    drafted = config.read_text(encoding="utf-8")
    assert drafted.count("\n[scorecard]\n") == 1
    path.write_text(drafted.replace("\n[scorecard]\n", text), encoding="utf-8")
    return path


def test_the_replayed_rows_are_those_the_champion_was_judged_on(known, scored) -> None:
    holdout = pd.read_parquet(scored.logged("holdout.parquet"))
    holdout = holdout[holdout["due"] & left_alone(holdout)]
    assert len(known.rows) == len(holdout) > 0
    assert known.rows["score"].sum() == pytest.approx(holdout["score"].sum())
    assert known.warnings == []
    first = known.rows["observation_date"].min()
    matured = pd.Timedelta(days=known.model.maturity_days)
    assert pd.Timestamp(known.taught_until) + matured <= first
    past = known.frame["observation_date"] + matured <= first
    assert known.past.tolist() == np.flatnonzero(past).tolist()


def test_scores_and_ranking_are_what_a_recomputation_by_hand_finds(known, scored) -> None:
    project = load_project(_with(scored.config, WRONG))
    found = known.replay(project)
    past, rows = known.frame.iloc[known.past], known.rows
    by_name = {signal.name: signal for signal in known.signals}

    def ranked(risk: pd.Series | np.ndarray) -> float:
        return auc_within(rows["happened"], risk, rows["observation_date"])

    for contender in (TODAY, RECOMMENDED):
        score = np.zeros(len(rows))
        for segment, here in rows.groupby("segment"):
            place = rows.index.get_indexer(here.index)
            # Rows of no segment of their own are graded among all.
            reference = past if segment == "all" else past[past["segment"] == segment]
            weights = (
                dict(zip(known.names, known.today[EVERYBODY], strict=True))
                if contender == TODAY
                else known.advice[segment].weights
            )
            for measure in known.measures:
                kept = {}
                for frame, name in ((reference, "then"), (here, "now")):
                    grades = [
                        _percentiles(reference[graded.name], frame[graded.name], graded.higher)
                        for graded in measure.signals
                    ]
                    kept[name] = pd.concat(grades, axis=1).mean(axis=1)
                filled = kept["now"].fillna(kept["then"].mean())
                score[place] += weights[measure.name] / 100 * filled.to_numpy()
        line = found.table.query("segment == 'all' and contender == @contender").iloc[0]
        assert line["auc"] == pytest.approx(ranked(-score), abs=0.006)
        cut = found.cuts[contender].red_below
        assert line["red"] == pytest.approx((score < cut).mean(), abs=0.01)
    full = found.table.query("segment == 'all' and contender == 'full model'").iloc[0]
    assert full["auc"] == pytest.approx(ranked(rows["probability"]))
    assert {by_name[s.name].group for m in known.measures for s in m.signals} == set(known.names)


def _percentiles(reference: pd.Series, values: pd.Series, higher: bool) -> pd.Series:
    ordered = np.sort(reference.dropna().to_numpy(dtype=float))
    value = values.to_numpy(dtype=float)
    if not len(ordered):
        return pd.Series(np.nan, index=values.index)
    rank = np.searchsorted(ordered, value, "left") + np.searchsorted(ordered, value, "right")
    # Between two known values a grade lies on a line, so single ones may differ a little.
    grade = np.clip(50 * rank / len(ordered), 50 / len(ordered), 100 - 50 / len(ordered))
    found = pd.Series(grade if higher else 100 - grade, index=values.index)
    return found.where(values.notna())


def test_as_many_accounts_are_red_whoever_scores_them(known, scored) -> None:
    table = known.replay(load_project(_with(scored.config, WRONG))).table
    everybody = table[table["segment"] == "all"]
    assert np.ptp(everybody["red"]) < 0.01
    assert np.ptp(everybody["green"]) < 0.02


def test_configured_cuts_are_those_of_today(known, scored) -> None:
    project = load_project(_with(scored.config, f"{WRONG}red_below = 30\ngreen_from = 65\n"))
    found = known.replay(project)
    assert (found.cuts[TODAY].red_below, found.cuts[TODAY].green_from) == (30, 65)
    everybody = found.table.query("segment == 'all'").set_index("contender")
    assert everybody.loc[RECOMMENDED, "red"] == pytest.approx(everybody.loc[TODAY, "red"], abs=0.01)


def test_wrong_weights_are_righted(recommended) -> None:
    told = {line.measure: line for line in recommended.advice["all"].advice}
    assert recommended.foretells
    assert told["surveys"].verdict == "lower"
    assert told["usage"].verdict == "raise"
    for advice in recommended.advice.values():
        assert sum(advice.weights.values()) == pytest.approx(100)
    table = recommended.replayed.table.query("segment == 'all'").set_index("contender")
    assert table.loc[RECOMMENDED, "auc"] > table.loc[TODAY, "auc"] + 0.05
    assert recommended.segments[0] == "all"
    assert set(recommended.segments) == set(recommended.advice)


def test_what_it_would_change_is_a_year_of_the_replayed_outcomes(recommended, known) -> None:
    found = recommended.effects["all"]
    rows = known.rows
    dates = rows["observation_date"].nunique()
    assert found.happened == pytest.approx(rows["happened"].sum() / dates * 365 / 30)
    lost = rows.loc[rows["happened"] == 1, "arr"].sum()
    assert found.arr == pytest.approx(lost / dates * 365 / 30)
    assert found.caught - found.caught_today == pytest.approx(found.more.value)
    assert found.more.low <= found.more.value <= found.more.high
    for segment, effect in recommended.effects.items():
        inside = rows if segment == "all" else rows[rows["segment"] == segment]
        assert effect.happened == pytest.approx(inside["happened"].sum() / dates * 365 / 30)


def test_without_money_there_are_counts(recommended, known) -> None:
    table = recommended.replayed
    rows = known.rows.assign(arr=np.nan)
    found = effects(table, rows, 30)["all"]
    assert found.arr is found.more_arr.value is None
    assert found.more == recommended.effects["all"].more


def test_every_number_has_its_source(recommended, known, scored) -> None:
    assert recommended.version == "1"
    assert recommended.versions["config_fingerprint"] == load_project(scored.config).fingerprint
    assert recommended.counts["rows"] == len(known.frame)
    shares = {note.name: note.known for note in recommended.measures}
    for measure in known.measures:
        columns = known.frame[[graded.name for graded in measure.signals]]
        assert shares[measure.name] == pytest.approx(columns.notna().any(axis=1).mean())
    assert sum(one.most for one in recommended.behaviours) == 100


def test_a_champion_without_its_hold_out_is_named(scored, monkeypatch) -> None:
    from models.registry import versions

    monkeypatch.setattr(versions, "HOLDOUT", "never-logged.parquet")
    with pytest.raises(RegistryError) as raised:
        versions.load_holdout(scored.folder / "mlruns", "healthscore", "1")
    assert str(raised.value) == (
        "Version '1' of 'healthscore' is registered without the rows it was judged on "
        "(never-logged.parquet); train again to replay weights over them."
    )


def test_tables_that_changed_are_told_of(known) -> None:
    from pipelines.weights.rows import _joined

    holdout = known.rows[
        ["account_id", "observation_date", "probability", "score", "happened"]
    ].copy()
    fewer = known.frame.drop(index=known.frame.index[-5:])
    holdout.loc[0, "happened"] = 1 - holdout.loc[0, "happened"]
    rows, warnings = _joined(fewer, holdout, "1")
    assert warnings == [
        f"The tables changed since model version 1 was trained: {len(holdout) - len(rows)} of its"
        f" {len(holdout):,} hold-out rows are gone and 1 have another outcome; train again before"
        " you act on this"
    ]
    with pytest.raises(EvidenceError) as raised:
        _joined(known.frame.head(0), holdout, "1")
    assert str(raised.value) == (
        f"Of the {len(holdout)} rows that model version 1 was judged on, the tables now hold 0"
        " with 0 outcomes, which leaves nothing to replay; train again with 'healthscore train'"
    )


def test_weights_of_a_segment_that_is_none_are_told_of(scored) -> None:
    from pipelines.weights.rows import _unknown_segments

    segments = '[scorecard.segments]\n"plan=growht" = { usage = 100 }\n'
    project = load_project(_with(scored.config, f"{WRONG}{segments}"))
    assert _unknown_segments(project, {"all", "plan=growth"}) == [
        "[scorecard.segments] names 'plan=growht', which is no segment of the model; did you mean"
        " 'plan=growth'?"
    ]


def test_a_group_no_table_tells_of_keeps_its_weight(known) -> None:
    from pipelines.weights.recommend import _doubts

    silent = {
        "all": dataclasses.replace(
            known.advice["all"],
            advice=tuple(
                dataclasses.replace(line, why="no data") if line.measure == "surveys" else line
                for line in known.advice["all"].advice
            ),
        )
    }
    assert _doubts(known, silent) == [
        "No table tells of 'surveys': its weight stays as it is and moves no score; map a table"
        " that does or take it out of the scorecard"
    ]


def test_without_a_champion_there_is_nothing_to_replay(project) -> None:
    text = project.config.read_text(encoding="utf-8").replace('"mlruns"', '"elsewhere"')
    project.config.write_text(text, encoding="utf-8")
    with pytest.raises(RegistryError, match="No champion of 'healthscore' was found"):
        recommend(load_project(project.config))
