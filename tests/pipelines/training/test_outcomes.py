"""One score per outcome, kept apart: configuration, training, scores, reasons and words."""

from __future__ import annotations

import tomllib

import pytest

from features.errors import SettingsError
from features.outcomes.labels import OutcomeSettings
from pipelines.project.project import freeze_scale, load_project
from pipelines.project.settings.score import MAIN

# Its companies are taught once, by one worker.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("outcomes")]

GOOD = '[source]\nurl = "data"\n[tables.accounts]\n[tables.subscriptions]\n'
GROWTH = """
[outcomes.growth]
kind = "expansion"
horizon_days = 60
spacing = 60
change_share = 0.05
"""


@pytest.fixture
def written(tmp_path):
    def write(text: str):
        path = tmp_path / "healthscore.toml"
        path.write_text(GOOD + text, encoding="utf-8")
        return path

    return write


def test_what_an_outcome_leaves_out_is_as_in_the_main_one(written) -> None:
    project = load_project(
        written(
            '[outcome]\nkind = "adoption"\nhorizon_days = 45\nlead_days = 7\nspacing = "week"\n'
            "target = { at_least = 3 }\n[score]\nanchor_probability = 0.2\n"
            '[outcomes.left]\nkind = "churn"\nlead_days = 0\n'
            "[outcomes.Far-off_2]\nhorizon_days = 90\n"
            "[outcomes.Far-off_2.score]\nlikely_from = 0.3\n"
        )
    )
    left, far = (project.for_outcome(name) for name in ("left", "Far-off_2"))
    assert left.settings.outcome == OutcomeSettings(horizon_days=45, spacing="week")
    assert far.settings.outcome.target == project.settings.outcome.target
    assert far.settings.outcome.maturity_days == 97
    assert left.settings.score.anchor_probability is None
    assert far.settings.score.likely_from == 0.3
    assert far.settings.registry.model_name == "healthscore-Far-off_2"
    assert (far.outcome_name, far.outcome_section) == ("Far-off_2", "outcomes.Far-off_2")
    assert far.settings.source == project.settings.source
    assert project.for_outcome(MAIN) is project
    assert far.for_outcome("left").settings == left.settings
    assert far.for_outcome(MAIN).settings == project.settings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[outcomes.a]\nhorizn_days = 1", "[outcomes.a] has no key 'horizn_days'; did you mean"),
        ("[outcomes.a-b]\nhorizon_days = 0", "[outcomes.a-b] horizon_days: input should be great"),
        (
            '[outcomes.a]\nkind = "love"',
            "[outcomes.a] kind: input should be 'churn', 'renewal', 'contraction",
        ),
        ('[outcomes.a]\nkind = "adoption"', '[outcomes.a] kind = "adoption" needs a target;'),
        (
            '[outcomes.a]\nkind = "adoption"\ntarget = { at_last = 3 }',
            "[outcomes.a.target] has no key 'at_last'; did you mean 'at_least'?",
        ),
        ('[outcome]\nkind = "adoption"', '[outcome] kind = "adoption" needs a target;'),
        (
            "[outcomes.a.score]\nwatch_from = 0.2\nat_risk_from = 0.1",
            "[outcomes.a.score] watch_from must not be above at_risk_from and is 0.2 against 0.1;",
        ),
        (
            '[outcomes.a]\nkind = "expansion"\n[outcomes.a.score]\nat_risk_from = 0.1',
            "[outcomes.a.score] at_risk_from does not fit: expansion is good news, whose bands are"
            " cut by likely_from and possible_from; rename it or take it out",
        ),
        (
            "[score]\npossible_from = 0.1",
            "[score] possible_from does not fit: churn is bad news, whose bands are cut by"
            " at_risk_from and watch_from",
        ),
        ('[outcomes."a/b"]\nlead_days = 1', "[outcomes] names an outcome 'a/b', and a name is up"),
        ("[outcomes.main]\nlead_days = 1", "other than main, which is the one of [outcome]"),
        (f"[outcomes.{'x' * 61}]\nlead_days = 1", "a name is up to 60 letters"),
        ("outcomes = 3\n", "has no column or option 'outcomes'"),
        ("[outcomes]\na = 3\n", "[outcomes.a] must be a section, found 3"),
    ],
)
def test_mistakes_in_further_outcomes_are_named(written, text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_project(written(text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_outcome_is_answered_with_the_known_ones(written, run) -> None:
    path = written(GROWTH)
    for command in (["train"], ["score"], ["explain", "A1"], ["features", "--labelled"]):
        ran = run(*command, "-c", path, "--outcome", "grwth")
        assert (ran.code, ran.sentence) == (
            2,
            "There is no outcome 'grwth'; did you mean 'growth'?",
        )
    with pytest.raises(SettingsError, match="no outcome 'zzz'; known are 'main', 'growth'"):
        load_project(path).for_outcome("zzz")


def test_each_scale_is_frozen_in_its_own_section(written) -> None:
    path = written(f"# ours\n{GROWTH}[outcomes.other]\nlead_days = 3 # short\n")
    scale = {"anchor_probability": 0.1, "likely_from": 0.2, "possible_from": 0.05}
    freeze_scale(load_project(path).for_outcome("growth"), scale)
    text = path.read_text(encoding="utf-8")
    assert text.startswith(GOOD)
    assert "# ours" in text
    assert "lead_days = 3 # short" in text
    again = load_project(path)
    assert again.for_outcome("growth").settings.score.model_dump(exclude_none=True) == scale
    for name in (MAIN, "other"):
        score = again.for_outcome(name).settings.score
        assert score.model_dump(exclude_none=True) == {}


def test_a_horizon_longer_than_the_history_is_one_sentence(small, run) -> None:
    config = small()
    text = config.read_text(encoding="utf-8")
    config.write_text(f"{text}[outcomes.later]\nhorizon_days = 700\n", encoding="utf-8")
    ran = run("train", "-c", config, "--outcome", "later")
    assert ran.code == 4
    assert ran.sentence.startswith("No observation date has matured: the data run from 2024-01-01")
    assert ran.sentence.endswith("load a longer history or shorten [outcomes.later] horizon_days")


@pytest.fixture(scope="module")
def grown(taught, run, tmp_path_factory):
    """The taught company with an expansion score beside its churn score."""
    import shutil
    from dataclasses import replace

    folder = tmp_path_factory.mktemp("grown") / "project"
    shutil.copytree(taught.folder, folder)
    copied = replace(taught, folder=folder, config=folder / taught.config.name)
    text = copied.config.read_text(encoding="utf-8")
    unsure = '[outcomes.shrinking]\nkind = "contraction"\n[outcomes.renewal]\nkind = "label"\n'
    copied.config.write_text(text + GROWTH + unsure, encoding="utf-8")
    trained = run("train", "-c", copied.config, "--outcome", "growth", "--json").answer
    for outcome in ([], ["--outcome", "growth"]):
        assert run("score", "-c", copied.config, *outcome, "--json").code == 0
    return replace(copied, trained=trained)


def test_a_further_outcome_gets_a_model_and_a_scale_of_its_own(grown, taught) -> None:
    scale = grown.trained["scale"]
    assert grown.trained["outcome"] == "growth"
    assert scale["good"]
    assert set(scale) == {"anchor_probability", "likely_from", "possible_from", "good"}
    written = tomllib.loads(grown.config.read_text(encoding="utf-8"))
    assert written["score"] == tomllib.loads(taught.config.read_text(encoding="utf-8"))["score"]
    if grown.trained["enough_evidence"]:
        assert written["outcomes"]["growth"]["score"] == {
            name: cut for name, cut in scale.items() if name != "good"
        }
    else:
        assert "score" not in written["outcomes"]["growth"]


def test_scores_are_kept_apart_and_add_up(grown) -> None:
    from features.catalog import GROUPS

    total = " + ".join(f"points_{group}" for group in GROUPS)
    found = grown.sql(
        f"select outcome, max(abs(baseline_score + {total} - score)) < 1e-9,"
        " corr(score, probability) > 0, count(distinct account_id) = count(*), count(*) from scores"
        " group by outcome order by outcome"
    )
    assert found[0][:4] == ("growth", True, True, True)
    assert found[1][:4] == ("main", True, False, True)
    assert found[0][4] == found[1][4]
    anchor = grown.trained["scale"]["anchor_probability"]
    assert grown.sql(
        # As far as the nine decimals of a probability tell.
        "select bool_and(abs(score - least(100, greatest(0, 50 + 10 * log2("
        "probability / (1 - probability) * (1 - $1) / $1))))"
        " < 8e-9 / (probability * (1 - probability))) from scores"
        " where outcome = 'growth'",
        anchor,
    ) == [(True,)]
    bands = {band for (band,) in grown.sql("select band from scores where outcome = 'growth'")}
    assert bands <= {"likely", "possible", "unlikely"}


def test_screens_speak_of_the_outcome(grown, run) -> None:
    ran = run("score", "-c", grown.config, "--outcome", "growth")
    assert ran.code == 0, ran.err
    assert "expansion is expected of accounts with ARR" in " ".join(ran.out.split())
    assert "churn" not in ran.out
    (account,) = grown.sql(
        "select account_id from scores where outcome = 'growth' order by score desc limit 1"
    )[0]
    told = run("explain", "-c", grown.config, "--outcome", "growth", "--json", "--", account).answer
    assert told["outcome"] == "growth"
    points = sum(signal["points"] for signal in told["signals"])
    assert told["baseline_score"] + points == pytest.approx(told["score"], abs=1e-9)
    ran = run("explain", "-c", grown.config, "--outcome", "growth", "--", account)
    assert "% expansion" in ran.out.splitlines()[0]
    assert "churn" not in ran.out


def test_check_says_which_outcomes_can_be_read(grown, run) -> None:
    report = run("check", "-c", grown.config, "--json").answer["outcomes"]
    assert list(report) == ["main", "growth", "shrinking", "renewal"]
    assert [report[name]["problem"] is None for name in report] == [True, True, True, False]
    assert len(report["growth"]["observation_dates"]) < len(report["main"]["observation_dates"])
    ran = run("check", "-c", grown.config)
    assert "Outcome growth (expansion): " in ran.out
    assert "outcome renewal: The outcome label is read from table labels, which is not" in ran.out


def test_a_champion_of_another_outcome_is_refused(grown, run, tmp_path) -> None:
    import shutil

    folder = tmp_path / "changed"
    shutil.copytree(grown.folder, folder)
    config = folder / grown.config.name
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace('kind = "churn"', 'kind = "contraction"', 1), "utf-8")
    ran = run("score", "-c", config)
    assert (ran.code, ran.sentence) == (
        5,
        "The model 'healthscore' was taught to predict churn as bad news, and [outcome] now"
        " says kind = 'contraction'; train again or give the new outcome a section of its own"
        " under [outcomes]",
    )


@pytest.mark.parametrize(
    "command", [["recommend"], ["backtest"], ["what-if", "--weights", "usage=50,support=50"]]
)
def test_no_command_reads_new_labels_with_a_model_of_another_outcome(
    taught, run, tmp_path, command
) -> None:
    import shutil

    folder = tmp_path / "changed"
    shutil.copytree(taught.folder, folder)
    config = folder / taught.config.name
    text = config.read_text(encoding="utf-8")
    changed = text.replace('kind = "churn"', 'kind = "contraction"', 1)
    assert changed != text
    config.write_text(changed, "utf-8")
    ran = run(*command, "-c", config)
    assert (ran.code, ran.sentence) == (
        5,
        "The model 'healthscore' was taught to predict churn as bad news, and [outcome] now"
        " says kind = 'contraction'; train again or give the new outcome a section of its own"
        " under [outcomes]",
    )
