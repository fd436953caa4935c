"""A builder of the user's own is one file, and every mistake in it is one sentence."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pytest

from features.build import build_features, signals_of
from features.builders.own import builder_text
from features.builders.settings import SignalsSettings
from features.errors import SettingsError
from features.outcomes.labels import OutcomeSettings
from features.tables.company import Company
from pipelines.project.company import open_company
from pipelines.project.project import load_project

DAY = date(2024, 3, 4)
DOCUMENT = Path(__file__).parents[3] / "docs" / "how-to" / "own_signals.md"
BLOCKS = re.findall(r"```(toml|python)\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
GOOD = """
from features.builders.builder import fill_rows
from features.catalog import Signal

class Mine:
    group = "usage"
    def signals(self, company, settings):
        return (Signal("mine", "usage", "count", "higher", "Mine", None, "{value} of mine"),)
    def build(self, request):
        return request.keys.mutate(mine=1.5)

BUILDER = Mine()
"""


@pytest.fixture
def company(company_of: Callable[..., Company]) -> Company:
    accounts = pd.DataFrame({"account_id": ["A", "B"], "created_at": [datetime(2023, 1, 1)] * 2})
    churns = pd.DataFrame({"account_id": ["Z"], "churned_at": [datetime(2023, 1, 5)]})
    return company_of({"accounts": accounts, "churn_events": churns})


@pytest.fixture
def settings_with(tmp_path: Path) -> Callable[[str], SignalsSettings]:
    def write(code: str) -> SignalsSettings:
        file = tmp_path / "mine.py"
        file.write_text(code, encoding="utf-8")
        return SignalsSettings(builders=(str(file),))

    return write


def test_the_document_works_as_it_is_written(tmp_path: Path) -> None:
    snapshots, measured, builder, names = (text for _, text in BLOCKS)
    assert [kind for kind, _ in BLOCKS] == ["toml", "toml", "python", "toml"]
    assert tomllib.loads(measured)["signals"]["own"]["active_users"]["over_time"]
    (tmp_path / "weekend.py").write_text(builder, encoding="utf-8")
    data = tmp_path / "data"
    data.mkdir()
    tables = {
        "accounts": "account_id,created_at\nA-1,2023-01-01\nA-2,2023-01-01\n",
        "churn_events": "account_id,churned_at\nA-9,2023-05-01\n",
        # A Friday, a Saturday and a Sunday.
        "usage_events": "account_id,occurred_at\n"
        "A-1,2024-03-01 09:00\nA-1,2024-03-02 09:00\nA-1,2024-03-03 09:00\n",
        "nightly_metrics": "account_id,observed_at,seat_growth,sponsor_left\n"
        "A-1,2024-02-01 06:00,0.12,false\nA-1,2024-03-01 06:00,0.31,true\n",
    }
    for name, text in tables.items():
        (data / f"{name}.csv").write_text(text, encoding="utf-8")
    config = tmp_path / "healthscore.toml"
    mapped = "".join(f"[tables.{name}]\n" for name in list(tables)[:3])
    head = f'[source]\nurl = "data"\n{mapped}'
    config.write_text(f"{head}{snapshots}{names}", encoding="utf-8")
    project = load_project(config)
    with open_company(project) as company:
        chosen = project.settings.signals
        frame = build_features(company, [DAY], project.settings.outcome, chosen, labelled=False)
        signals = {signal.name: signal for signal in signals_of(company, chosen)}
    frame = frame.set_index("account_id")
    assert frame.weekend_share_28d["A-1"] == pytest.approx(2 / 3)
    assert frame.seat_growth["A-1"] == 0.31
    assert frame.sponsor_left["A-1"] == 1.0
    assert frame.loc["A-2", ["weekend_share_28d", "seat_growth", "sponsor_left"]].isna().all()
    assert signals["sponsor_left"].unit == "flag"
    assert signals["weekend_share_28d"].group == "usage"


def test_a_changed_file_is_read_anew(
    company: Company, settings_with: Callable[[str], SignalsSettings]
) -> None:
    settings = settings_with(GOOD)
    first = build_features(company, [DAY], OutcomeSettings(), settings, labelled=False)
    settings_with(GOOD.replace("1.5", "2.5"))
    os.utime(settings.builders[0], ns=(0, 0))
    second = build_features(company, [DAY], OutcomeSettings(), settings, labelled=False)
    assert (first.mine.tolist(), second.mine.tolist()) == ([1.5, 1.5], [2.5, 2.5])


def test_a_builder_may_be_a_dataclass(
    company: Company, settings_with: Callable[[str], SignalsSettings]
) -> None:
    code = "from __future__ import annotations\nfrom dataclasses import dataclass\n" + GOOD
    code = code.replace("class Mine:", "@dataclass\nclass Mine:\n    factor: float = 2.0")
    frame = build_features(
        company,
        [DAY],
        OutcomeSettings(),
        settings_with(code.replace("1.5", "self.factor")),
        labelled=False,
    )
    assert frame.mine.tolist() == [2.0, 2.0]


def test_a_list_of_builders_and_a_group_that_is_off(
    company: Company, settings_with: Callable[..., SignalsSettings]
) -> None:
    other = "\nclass Other(Mine):\n    group = 'profile'\n    def signals(self, c, s): return ()\n"
    code = GOOD.replace("BUILDER = Mine()", f"{other}BUILDERS = [Mine(), Other()]")
    assert "mine" in {signal.name for signal in signals_of(company, settings_with(code))}
    off = settings_with(code).model_copy(update={"groups_off": ("usage",)})
    assert "mine" not in {signal.name for signal in signals_of(company, off)}


def test_nan_and_infinity_are_unknown(
    company: Company, settings_with: Callable[..., SignalsSettings]
) -> None:
    for value in ("float('nan')", "float('inf')", "None"):
        settings = settings_with(GOOD.replace("mine=1.5", f"mine=ibis.literal({value}, 'float64')"))
        settings = settings_with("import ibis\n" + Path(settings.builders[0]).read_text())
        frame = build_features(company, [DAY], OutcomeSettings(), settings, labelled=False)
        assert frame.mine.isna().all()


FILE, MINE = "The file 'FILE' of [signals] builders", "The builder Mine of 'FILE'"


@pytest.mark.parametrize(
    ("wrong", "right", "message"),
    [
        (GOOD, "x = 1", f"{FILE} holds no builder; end it with BUILDER = YourBuilder() or a list"
         " BUILDERS"),
        (GOOD, "def", f"{FILE} failed with SyntaxError: invalid syntax (FILE, line 1); correct it"),
        (GOOD, "raise SystemExit(3)", f"{FILE} failed with SystemExit: 3; correct it"),
        (GOOD, "import nowhere_at_all",
         f"{FILE} failed with ModuleNotFoundError: No module named 'nowhere_at_all'; correct it"),
        ("BUILDER = Mine()", "BUILDER = Mine",
         f"{FILE} must hold builders, objects with signals() and build(), and"
         " <class 'own_builders_mine.Mine'> is a class; see docs/how-to/own_signals.md"),
        (GOOD, "BUILDER = 'text'",
         f"{FILE} must hold builders, objects with signals() and build(), and 'text' is without"
         " signals() and build(); see docs/how-to/own_signals.md"),
        (GOOD, "BUILDERS = 7", f"{FILE} must hold a list BUILDERS and holds int; write"
         " BUILDERS = [First(), Second()]"),
        ("return (Signal", "return 1/0, (Signal",
         f"{MINE} failed with ZeroDivisionError: division by zero; correct it"),
        ("return (Signal(", "return None and (Signal(",
         f"{MINE} must return a tuple of signals and returned NoneType; correct its signals()"),
        ("return (Signal(", "return 'mine', (Signal(",
         f"{MINE} must list signals and lists 'mine'; use features.catalog.Signal"),
        ('"mine", "usage"', '"My Signal", "usage"',
         f"{MINE} must name signals in lower case, digits and underscores and has 'My Signal';"
         " rename it"),
        ('"mine", "usage"', '"mine", "usages"',
         f"{MINE} gives signal 'mine' the group 'usages'; did you mean 'usage'?"),
        ('"count", "higher"', '"count", "up"',
         f"{MINE} gives signal 'mine' the healthy 'up'; known are higher, lower, none"),
        ('"mine", "usage"', '"tenure_days", "usage"',
         "Each column of the feature table needs a name of its own, and 'tenure_days' would be"
         " there twice; rename the attribute, the column of snapshots or the signal of your own"
         " builder that takes it"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_builder_is_refused(
    wrong: str,
    right: str,
    message: str,
    company: Company,
    settings_with: Callable[[str], SignalsSettings],
) -> None:
    settings = settings_with(GOOD.replace(wrong, right))
    with pytest.raises(SettingsError) as caught:
        signals_of(company, settings)
    said = str(caught.value).replace("(mine.py,", "(FILE,")
    assert said.replace(settings.builders[0], "FILE") == message


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("7", " must return an Ibis table and returned int; correct its build()"),
        ("request.keys", " must return the column 'mine'; it returned 'account_id',"
         " 'observation_date'"),
        ("request.keys.mutate(mines=1)", " must return the column 'mine'; did you mean 'mines'?"),
        ("request.keys.mutate(mine=1).drop('observation_date')",
         " must return the column 'observation_date'; it returned 'account_id', 'mine'"),
        ("request.keys.mutate(mine=request.keys.account_id)",
         " must fill 'mine' with numbers and returned string; convert the column"),
        ("request.keys.mutate(mine=1).limit(1)",
         " must return each of the 2 observations once and returned 1 rows with 1 of them; end its"
         " build() with fill_rows(request.keys, values, [])"),
        ("request.keys.mutate(mine=1).union(request.keys.mutate(mine=2))",
         " must return each of the 2 observations once and returned 4 rows with 2 of them; end its"
         " build() with fill_rows(request.keys, values, [])"),
        ("request.keys.mutate(mine=request.keys.nowhere)",
         " failed with AttributeError: 'Table' object has no attribute 'nowhere'; correct it"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused(
    result: str,
    message: str,
    company: Company,
    settings_with: Callable[[str], SignalsSettings],
) -> None:
    settings = settings_with(GOOD.replace("request.keys.mutate(mine=1.5)", result))
    with pytest.raises(SettingsError) as caught:
        build_features(company, [DAY], OutcomeSettings(), settings, labelled=False)
    assert str(caught.value) == f"The builder Mine of '{settings.builders[0]}'{message}"


def test_what_the_engine_refuses_is_said_in_one_line(
    company: Company, settings_with: Callable[[str], SignalsSettings]
) -> None:
    result = "request.keys.mutate(mine=request.keys.account_id.cast('float64'))"
    settings = settings_with(GOOD.replace("request.keys.mutate(mine=1.5)", result))
    with pytest.raises(SettingsError) as caught:
        build_features(company, [DAY], OutcomeSettings(), settings, labelled=False)
    assert "Could not convert string" in str(caught.value)
    assert str(caught.value).endswith("; correct it")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_no_python(company: Company, tmp_path: Path) -> None:
    text = tmp_path / "mine.txt"
    text.write_text(GOOD, encoding="utf-8")
    for file, message in (
        (
            tmp_path / "none.py",
            "[signals] builders names 'FILE', which cannot be read: No such file or directory;"
            " correct the path, which starts from the configuration's folder",
        ),
        (text, f"{FILE} must be a Python file; give it the ending .py"),
        (tmp_path, f"{FILE} must be a Python file; give it the ending .py"),
    ):
        with pytest.raises(SettingsError) as caught:
            signals_of(company, SignalsSettings(builders=(str(file),)))
        assert str(caught.value).replace(str(file), "FILE") == message


def test_the_text_of_a_file_that_is_not_there_is_asked_for_in_vain(tmp_path: Path) -> None:
    kept = tmp_path / "mine.py"
    kept.write_text(GOOD, encoding="utf-8")
    assert builder_text(str(kept)) == GOOD.encode()
    with pytest.raises(SettingsError, match="which cannot be read: Is a directory; correct the"):
        builder_text(str(tmp_path))
