"""``healthscore verify-run``: an issued run is made again and compared, score by score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.project.project import load_project
from tests.pipelines.conftest import copy_of

EARLIER = "2025-03-15"


@pytest.fixture
def copied(scored: Any, tmp_path: Path) -> Any:
    """A scored project to tamper with."""
    return copy_of(scored, tmp_path / "project")


def verified(run: Any, project: Any, *more: object, code: int = 0) -> dict[str, Any]:
    ran = run("verify-run", "-c", project.config, "--json", *more)
    assert ran.code == code, ran.err
    answer: dict[str, Any] = json.loads(ran.out)
    return answer


def test_every_score_is_met_and_the_store_stays_as_it_is(scored: Any, run: Any) -> None:
    before = scored.store.read_bytes()
    for more, day in (((), "2025-07-01"), (("--as-of", EARLIER), EARLIER)):
        answer = verified(run, scored, *more)
        counted = scored.sql("select count(*) from scores where as_of = ?::date", day)[0][0]
        assert answer.pop("largest_difference") < 1e-9
        assert answer == {
            "outcome": "main",
            "as_of": day,
            "model_version": "1",
            "revision": 1,
            "rows": counted,
            "same": True,
            "differing": 0,
            "gone": 0,
            "extra": 0,
            "columns": {},
            "examples": [],
            "same_data": True,
            "same_config": True,
            "is_sealed": True,
            "erased": 0,
            "reasons_kept": True,
            "said": [f"All {counted:,} scores were met"],
        }
    assert scored.store.read_bytes() == before


def test_a_score_that_was_tampered_with_shows(copied: Any, run: Any) -> None:
    account = copied.sql("select min(account_id) from latest_scores")[0][0]
    with duckdb.connect(str(copied.store)) as connection:
        connection.execute(
            "update score_rows set score = score + 0.001 where account_id = ?", [account]
        )
    answer = verified(run, copied, code=7)
    assert answer["differing"] == 1
    assert answer["examples"] == [account]
    assert answer["largest_difference"] == pytest.approx(0.001, abs=1e-6)
    assert answer["said"][-1] == ("The run does not fit its seal (its rows): the store was changed")
    ran = run("verify-run", "-c", copied.config)
    assert ran.code == 7
    assert "1 accounts are not as issued, such as " in ran.out


def test_rows_that_came_late_show(copied: Any, run: Any) -> None:
    file = copied.data / "tickets.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"create table tickets as select * from '{file}'")
        connection.execute(
            "insert into tickets by name select account_id, timestamp '2025-06-30' as opened_at"
            " from tickets where account_id in (select distinct account_id from tickets limit 20)"
        )
        connection.execute(f"copy tickets to '{file}'")
    answer = verified(run, copied, code=7)
    assert not answer["same_data"]
    assert answer["same_config"]
    assert 1 <= answer["differing"] <= 20
    assert answer["said"][-1] == (
        "The signals of that date have changed since: rows came late or were corrected"
    )


def test_a_configuration_that_changed_is_named_where_scores_differ(copied: Any, run: Any) -> None:
    text = copied.config.read_text("utf-8")
    before = load_project(copied.config).fingerprint
    copied.config.write_text("# said otherwise\n" + text, encoding="utf-8")
    assert load_project(copied.config).fingerprint == before
    copied.config.write_text(text.replace("seed = 7", "seed = 8"), encoding="utf-8")
    answer = verified(run, copied)
    assert answer["same"]
    assert not answer["same_config"]


def test_a_run_that_was_never_issued_is_a_sentence(scored: Any, run: Any) -> None:
    ran = run("verify-run", "-c", scored.config, "--as-of", "2025-05-01")
    assert ran.code == 6
    assert ran.sentence == (
        "No run as of 2025-05-01 was issued of outcome 'main'; issued were '2025-07-01 by model"
        f" version 1, revision 1', '{EARLIER} by model version 1, revision 1'"
    )


def test_a_model_that_is_gone_is_a_sentence(copied: Any, run: Any) -> None:
    with duckdb.connect(str(copied.store)) as connection:
        connection.execute("update runs set model_version = '99'")
    ran = run("verify-run", "-c", copied.config)
    assert ran.code == 5
    assert "99" in ran.sentence


def test_every_column_that_people_act_on_is_compared(copied: Any, run: Any) -> None:
    """A store without seals, whose rows were changed: the rebuilt run alone shows it."""
    changes = {
        "score": "score = 'nan'::double",
        "band": "band = if(band = 'healthy', 'watch', 'healthy')",
        "probability": "probability = probability / 2",
        "coverage": "coverage = coverage / 2",
        "baseline_score": "baseline_score = baseline_score + 1",
        "points_usage": "points_usage = points_usage + 1",
        "mrr": "mrr = coalesce(mrr, 0) + 0.01",
        "segment": "segment = 'x'",
        "reasons": "reason_signals = ['nothing']",
    }
    with duckdb.connect(str(copied.store)) as connection:
        connection.execute("drop table run_seals")
        connection.execute("update healthscore_store set version = 3")
        accounts = connection.execute(
            "select account_id from latest_scores order by score limit ?", [len(changes)]
        ).fetchall()
        for (account,), change in zip(accounts, changes.values(), strict=True):
            connection.execute(
                f"update score_rows set {change} where account_id = ? and run_id ="
                " (select max(run_id) from runs where as_of = (select max(as_of) from runs))",
                [account],
            )
    answer = verified(run, copied, code=7)
    assert not answer["is_sealed"]
    assert answer["differing"] == len(changes)
    assert answer["columns"] == dict.fromkeys(changes, 1)
    assert answer["said"][1].startswith("They differ in ")


def test_a_run_that_tells_another_number_of_rows_is_not_as_issued(copied: Any, run: Any) -> None:
    with duckdb.connect(str(copied.store)) as connection:
        connection.execute("update runs set rows = 5, issued_at = '2020-01-01', facts = '{}'")
    answer = verified(run, copied, code=7)
    assert "What the run was made from is not on record" in answer["said"]
    assert f"The run says 5 rows and holds {answer['rows']:,}" in answer["said"]
    seal = "The run does not fit its seal (it says 5 rows and has"
    assert any(line.startswith(seal) for line in answer["said"])


def test_a_run_of_another_model_than_it_tells_is_not_as_issued(copied: Any, run: Any) -> None:
    with duckdb.connect(str(copied.store)) as connection:
        connection.execute("drop table run_seals")
        connection.execute("update healthscore_store set version = 3")
        connection.execute(
            'update runs set facts = json_merge_patch(facts, \'{"model_run": "other"}\')'
        )
    answer = verified(run, copied, code=7)
    assert answer["said"][-1].startswith("The run says that its model came from run 'other', and")


def test_the_store_is_checked_by_a_command(copied: Any, run: Any) -> None:
    ran = run("verify-store", "-c", copied.config)
    assert ran.code == 0
    assert "sealed runs are as they were issued" in ran.out
    with duckdb.connect(str(copied.store)) as connection:
        connection.execute("update score_rows set band = 'healthy' where run_id = 2")
    ran = run("verify-store", "-c", copied.config, "--json")
    assert ran.code == 7
    answer = json.loads(ran.out)
    assert [changed["parts"] for changed in answer["changed"]] == [["its rows"]]
    assert not answer["same"]
