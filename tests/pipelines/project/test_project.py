"""The configuration file: every mistake in it is named, and freezing the scale spares the rest."""

from __future__ import annotations

import os
import resource
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import SettingsError
from pipelines.project.project import freeze_scale, load_project
from pipelines.reports.terminal.whole_file import replaced_whole

GOOD = '[source]\nurl = "data"\n[tables.accounts]\n[tables.subscriptions]\n'
SCALE = {"anchor_probability": 0.04, "at_risk_from": 0.08, "watch_from": 0.036}


@pytest.fixture
def refused(tmp_path: Path):
    def read(text: str) -> str:
        path = tmp_path / "healthscore.toml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(SettingsError) as error:
            load_project(path)
        prefix = f"The configuration '{path}': "
        assert str(error.value).startswith(prefix)
        assert "\n" not in str(error.value)
        return str(error.value).removeprefix(prefix)

    return read


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"[scource]\n{GOOD}", "the top level has no key 'scource'; did you mean 'source'?"),
        (GOOD.replace("url", "ulr"), "[source] has no key 'ulr'; did you mean 'url'?"),
        (f"{GOOD}[tables.ticket]", "[tables] has no key 'ticket'; did you mean 'tickets'?"),
        (f"{GOOD}creatd_at = 'x'", "[tables.subscriptions] has no column or option 'creatd_at'"),
        (f"{GOOD}[outcome]\nhorizn_days = 3", "did you mean 'horizon_days'?"),
        (f"{GOOD}[signals]\nkey_feature = []", "did you mean 'key_features'?"),
        (
            f"{GOOD}[signals.own.growth]\ngroop = 'usage'",
            "[signals.own.growth] has no key 'groop'; did you mean 'group'?",
        ),
        (f"{GOOD}[segments]\ncolums = []", "[segments] has no key 'colums'; did you mean"),
        (
            f"{GOOD}[segments]\nlifecycle = [{{nme = 'a'}}]",
            "[segments.lifecycle.0] has no key 'nme'; did you mean 'name'?",
        ),
        (
            f"{GOOD}account_via = {{table = 't', ky = 'k'}}",
            "[tables.subscriptions.account_via] has no key 'ky'; did you mean 'key'?",
        ),
        (f"{GOOD}[score]\nwatchfrom = 0.1", "[score] has no key 'watchfrom'; did you mean"),
        (f"{GOOD}[training]\nsed = 1", "[training] has no key 'sed'; did you mean 'seed'?"),
        (f"{GOOD}[registry]\nfoldr = 'x'", "[registry] has no key 'foldr'; did you mean"),
        (f"{GOOD}[store]\nzzz = 'x'", "[store] has no key 'zzz'; known are url"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(refused, text: str, message: str) -> None:
    assert message in refused(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f"{GOOD}[outcome]\nhorizon_days = 'a'",
            "[outcome] horizon_days: input should be a valid integer, unable to parse string as an"
            " integer, found 'a'; correct it",
        ),
        (
            f"{GOOD}[outcome]\nhorizon_days = 0",
            "[outcome] horizon_days: input should be greater than or equal to 1, found 0;",
        ),
        (
            f"{GOOD}[outcome]\nspacing = 'year'",
            "[outcome] spacing: input should be 'month' or 'week' or input should be a valid"
            " integer",
        ),
        (f"{GOOD}created_at = 1", "has no column or option 'created_at'"),
        (f"{GOOD}started_at = 1", "[tables.subscriptions] started_at: input should be a valid str"),
        ("source = 3\n" + GOOD.partition("\n[")[2].join(["[", ""]), "[source] must be a section"),
        (f"{GOOD}[training]\nthreads = 0", "[training] threads: input should be greater than"),
        (f"{GOOD}[registry]\nmodel_name = 'a/b'", "[registry] model_name: string should match"),
        (f"{GOOD}[signals]\ngroups_off = ['usages']", "[signals.groups_off] 0: input should be"),
        (
            f"{GOOD}[signals.own.growth]\nhealthy = 'higher'",
            "[signals.own.growth] group is required and missing; add it",
        ),
        (
            f"{GOOD}[signals.rubric.sponsor]\ntop = 'Calls us'",
            "[signals.rubric.sponsor] must name levels by their number and has 'top'; write for"
            ' example 5 = "Calls us"',
        ),
        (f"{GOOD}[score]\nanchor_probability = 1", "[score] anchor_probability: input should be"),
        ("[tables.accounts]\n[tables.subscriptions]", "[source] is required and missing; add it"),
        ("[source]\n[tables.subscriptions]", "[source] url is required and missing; add it"),
        (
            "[source]\nurl = 'x'\n[tables.accounts]",
            "[tables] needs one source of outcomes, subscriptions, churn_events or labels, and"
            " names none; map one of them",
        ),
        (
            f"{GOOD}[score]\nwatch_from = 0.2\nat_risk_from = 0.1",
            "[score] watch_from must not be above at_risk_from and is 0.2 against 0.1; correct one"
            " of them",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_rule(refused, text: str, message: str) -> None:
    assert message in refused(text)


def test_own_builders_are_found_from_the_folder_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "healthscore.toml"
    path.write_text(f"{GOOD}[signals]\nbuilders = ['a.py', '/b/c.py']", encoding="utf-8")
    assert load_project(path).settings.signals.builders == (str(tmp_path / "a.py"), "/b/c.py")


def test_a_builder_that_is_gone_leaves_no_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "healthscore.toml"
    path.write_text(GOOD + "[signals]\nbuilders = ['mine.py']\n", encoding="utf-8")
    (tmp_path / "mine.py").write_text("BUILDERS = ()\n", encoding="utf-8")
    project = load_project(path)
    before = project.fingerprint
    (tmp_path / "mine.py").write_text("BUILDERS = []\n", encoding="utf-8")
    assert project.fingerprint != before
    (tmp_path / "mine.py").unlink()
    with pytest.raises(SettingsError, match="which cannot be read: No such file"):
        _ = project.fingerprint


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "healthscore.toml"
    with pytest.raises(SettingsError, match=r"does not exist; write a draft with 'healthscore in"):
        load_project(path)
    path.write_text("[source\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"is not valid TOML: .*line 1"):
        load_project(path)
    path.write_bytes(GOOD.encode() + b'# Caf\xe9 "x"')
    with pytest.raises(SettingsError, match=rf"must be UTF-8, and its byte {len(GOOD) + 5} is not"):
        load_project(path)
    with pytest.raises(SettingsError, match=r"cannot be read: Is a directory; name a readable"):
        load_project(tmp_path)
    with pytest.raises(SettingsError, match=r"cannot be read: Not a directory"):
        load_project(path / "below.toml")


def test_a_file_saved_by_a_windows_editor_is_read_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "healthscore.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    project = load_project(path)
    assert project.settings.source.url == "data"
    freeze_scale(project, SCALE)
    assert path.read_bytes().startswith(GOOD.replace("\n", "\r\n").encode())
    assert load_project(path).settings.score.anchor_probability == 0.04


def test_relative_paths_start_from_the_file(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "healthscore.toml").write_text(GOOD, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    project = load_project(Path("healthscore.toml"))
    assert project.store_shown == str(tmp_path / "scores.duckdb")
    assert project.registry_folder == tmp_path / "mlruns"


def test_freezing_keeps_every_line_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "healthscore.toml"
    text = (
        f"# ours\n{GOOD}\n[score] # the scale\n# agreed in May\nwatch_from = 0.03 # low\n\n"
        "[training] # last\nseed = 7\n"
    )
    path.write_text(text, encoding="utf-8")
    path.chmod(0o640)
    project = load_project(path)
    freeze_scale(project, {"anchor_probability": 0.04, "at_risk_from": 0.08})
    fresh = path.read_text(encoding="utf-8")
    assert [line for line in fresh.splitlines() if line in text.splitlines()] == text.splitlines()
    score = load_project(path).settings.score
    assert (score.anchor_probability, score.at_risk_from, score.watch_from) == (0.04, 0.08, 0.03)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("given_as", ["", "[score]\n", "score = {}\n"])
def test_freezing_finds_or_makes_its_section(tmp_path: Path, given_as: str) -> None:
    path = tmp_path / "healthscore.toml"
    path.write_text(given_as + GOOD, encoding="utf-8")
    freeze_scale(load_project(path), SCALE)
    assert load_project(path).settings.score.model_dump(exclude_none=True) == SCALE


def test_freezing_keeps_what_was_edited_while_training_ran(tmp_path: Path) -> None:
    path = tmp_path / "healthscore.toml"
    path.write_text(GOOD, encoding="utf-8")
    project = load_project(path)
    path.write_text(f"{GOOD}[training]\nseed = 99\n", encoding="utf-8")
    freeze_scale(project, SCALE)
    assert load_project(path).settings.training.seed == 99


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "healthscore.toml"
    path.write_text(GOOD, encoding="utf-8")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match="File too large"), replaced_whole(path) as fresh:
            fresh.write_text(GOOD * 1000, encoding="utf-8")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text(encoding="utf-8") == GOOD
    assert os.listdir(tmp_path) == [path.name]


probabilities = st.floats(0.001, 0.999)


@given(anchor=probabilities, cuts=st.tuples(probabilities, probabilities))
def test_any_scale_a_training_may_find_can_be_frozen_and_read(
    tmp_path_factory: pytest.TempPathFactory, anchor: float, cuts: tuple[float, float]
) -> None:
    path = tmp_path_factory.mktemp("frozen") / "healthscore.toml"
    path.write_text(GOOD, encoding="utf-8")
    scale = {"anchor_probability": anchor, "at_risk_from": max(cuts), "watch_from": min(cuts)}
    freeze_scale(load_project(path), scale)
    assert load_project(path).settings.score.model_dump(exclude_none=True) == scale


HOSTILE_PASSWORD = "p%40ss%3Aw%2Frd%25'"


def test_the_stored_configuration_holds_no_password(tmp_path: Path) -> None:
    url = f"postgresql://me:{HOSTILE_PASSWORD}@server/crm?sslpassword=hidden-too&schema=sales"
    path = tmp_path / "healthscore.toml"
    path.write_text(
        f'# old: postgresql://me:before@server/crm\n[source]\nurl = "{url}" # now\n'
        "[tables.accounts]\n[tables.churn_events]\n",
        encoding="utf-8",
    )
    project = load_project(path)
    assert project.settings.source.url == url
    assert project.shown_text == (
        "# old: postgresql://me:***@server/crm\n[source]\n"
        'url = "postgresql://me:***@server/crm?sslpassword=***&schema=sales" # now\n'
        "[tables.accounts]\n[tables.churn_events]\n"
    )
    for shown in (repr(project), repr(project.settings), str(project.settings)):
        assert HOSTILE_PASSWORD not in shown


@pytest.mark.parametrize(
    "text",
    [
        '[source]\nurl = ["postgresql://me:s3cr3t@server/crm"]\n',
        'source = "postgresql://me:s3cr3t@server/crm"\n',
        '[source]\nurl = "x"\ndata_end = "postgresql://me:s3cr3t@server/crm"\n',
        'url = "postgresql://me:s3cr3t@server/crm"\n',
    ],
)
def test_what_is_said_about_a_wrong_key_holds_no_password(text: str, tmp_path: Path) -> None:
    path = tmp_path / "healthscore.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_project(path)
    assert "s3cr3t" not in str(caught.value)
