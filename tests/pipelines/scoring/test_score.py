"""``healthscore score``: the tables it issues, once, from what was known on the day."""

from __future__ import annotations

import json
import shutil
import signal
import tomllib
from datetime import datetime

import duckdb
import pytest

from features.catalog import GROUPS
from pipelines.store.schema import SHOWN

SCORES = ["outcome", "as_of", "model_version", "revision", "issued_at", *SHOWN]
REASONS = "outcome account_id as_of model_version rank signal signal_group points value".split()
EARLIER = "2025-03-15"

# Each table's own time, and the columns that are filled in later, with the time they came.
TIMES = {
    "accounts": ("created_at", {}),
    "subscriptions": ("started_at", {"ended_at": "ended_at"}),
    "usage_events": ("occurred_at", {}),
    "tickets": (
        "opened_at",
        {"first_response_at": "first_response_at"}
        | dict.fromkeys(["closed_at", "escalated", "reopened", "csat", "sentiment"], "closed_at"),
    ),
    "invoices": (
        "issued_at",
        {"paid_at": "paid_at", "failed_attempts": "paid_at", "refunded_at": "refunded_at"},
    ),
    "referrals": ("referred_at", {"converted_at": "converted_at"}),
    "surveys": ("sent_at", dict.fromkeys(["responded_at", "score"], "responded_at")),
    "trainings": ("attended_at", {}),
    "ratings": ("rated_at", {}),
    "interventions": ("occurred_at", {}),
    "churn_events": ("churned_at", {}),
}


def test_the_answer(scored, run) -> None:
    answer = run("score", "-c", scored.config, "--json").answer
    rows = scored.sql("select count(*) from scores where as_of = date '2025-07-01'")[0][0]
    assert answer == {
        "outcome": "main",
        "rows": rows,
        "as_of": "2025-07-01",
        "model_version": "1",
        "revision": 1,
        "store": str(scored.store),
        "seal": None,
        "issued_before": True,
        "read": [],
        "reasons_let_go": 0,
        "alerts": [],
        "warnings": [
            "Scores of 2025-07-01 by model version 1 had been issued before and stay as they are;"
            " --force issues a further revision"
        ],
    }
    active = duckdb.sql(
        f"select count(distinct account_id) from '{scored.data}/subscriptions.parquet'"
        " where ended_at is null or ended_at >= date '2025-07-01'"
    ).fetchall()
    assert active == [(rows,)]


def test_the_columns_of_the_store(scored) -> None:
    names = "select column_name from information_schema.columns where table_name = ?"
    assert [name for (name,) in scored.sql(names, "scores")] == SCORES
    assert [name for (name,) in scored.sql(names, "score_reasons")] == REASONS


def test_points_add_up_to_the_score(scored) -> None:
    groups = " + ".join(f"points_{group}" for group in GROUPS)
    assert scored.sql(
        f"select count(*) > 400, max(abs(baseline_score + {groups} - score)) < 1e-9,"
        " min(score) >= 0, max(score) <= 100, min(coverage) > 0, max(coverage) <= 1 from scores"
    ) == [(True, True, True, True, True, True)]


def test_the_score_and_its_band_say_the_risk_of_churn_at_a_decision(scored) -> None:
    scale = tomllib.loads(scored.config.read_text(encoding="utf-8"))["score"]
    odds = scale["anchor_probability"] / (1 - scale["anchor_probability"])
    risk = f"1 - 1 / (1 + {odds} * pow(2, (50 - score) / 10))"
    # Where none is due in the window, a part of the risk falls into it.
    assert scored.sql(
        f"select max(probability - ({risk})) < 1e-9,"
        f" count(*) filter (abs(probability - ({risk})) < 1e-9) > 50,"
        f" count(*) filter (probability < ({risk}) / 2) > 50"
        " from scores where score > 0 and score < 100"
    ) == [(True, True, True)]
    assert scored.sql(
        f"select count(*) filter (band <> case when ({risk}) >= $1 then 'at-risk'"
        f" when ({risk}) >= $2 then 'watch' else 'healthy' end), count(distinct band)"
        " from scores",
        scale["at_risk_from"],
        scale["watch_from"],
    ) == [(0, 3)]


def test_five_reasons_largest_first(scored) -> None:
    assert scored.sql(
        "select count(*) from (select abs(points) > lag(abs(points)) over w as grew,"
        " rank <> row_number() over w as gap from score_reasons"
        " window w as (partition by account_id, as_of order by rank)) where grew or gap"
    ) == [(0,)]
    counted = scored.sql(
        "select distinct count(r.rank) from scores s left join score_reasons r"
        " using (account_id, as_of, model_version) group by s.account_id, s.as_of"
    )
    assert counted == [(5,)]


def test_what_was_issued_stays(scored, run) -> None:
    everything = "select * from scores order by all"
    before = scored.sql(everything)
    assert run("score", "-c", scored.config, "--as-of", EARLIER, "--json").answer["issued_before"]
    assert scored.sql(everything) == before
    issued = scored.sql("select distinct issued_at from scores")
    assert len(issued) == 2
    assert all(isinstance(moment, datetime) for (moment,) in issued)


def test_a_forced_run_is_a_further_revision_and_the_first_one_stays(project, run) -> None:
    """Also where a written feature table is read, which gives the same scores."""
    file = project.folder / "features.parquet"
    run("features", "-c", project.config, "--out", file, "--json").answer  # noqa: B018
    written = ("--features", file, "--threads", 3)
    for revision, options in enumerate(((), ("--force",), ("--force", *written)), start=1):
        answer = run("score", "-c", project.config, "--json", *options).answer
        assert answer["revision"] == revision
        assert not answer["issued_before"]
        assert answer["as_of"] == "2025-07-01"
    every = project.sql(
        "select account_id, array_agg(score order by revision) from score_rows"
        " join runs using (run_id) group by account_id"
    )
    assert len(every) == answer["rows"]
    assert all(len(scores) == 3 for _, scores in every)
    assert all(max(scores) - min(scores) < 1e-9 for _, scores in every)
    assert project.sql("select distinct revision from scores") == [(3,)]
    apart = project.sql(
        "select count(*), max(abs(a.score - b.score)), max(abs(a.coverage - b.coverage)),"
        " count(*) filter (a.reason_signals <> b.reason_signals)"
        " from score_rows a join score_rows b using (account_id)"
        " join runs r on a.run_id = r.run_id and r.revision = 1"
        " join runs s on b.run_id = s.run_id and s.revision = 3"
    )
    assert apart[0][0] == answer["rows"]
    assert apart[0][1] < 1e-9
    assert apart[0][2:] == (0, 0)
    facts = [
        json.loads(text) for (text,) in project.sql("select facts from runs order by revision")
    ]
    assert [found["source"] for found in facts] == ["tables", "tables", "features.parquet"]
    assert len({found["data_fingerprint"] for found in facts}) == 1
    assert len({found["config_fingerprint"] for found in facts}) == 1


def test_scores_of_a_day_do_not_know_what_came_after(scored, run, tmp_path) -> None:
    folder = tmp_path / "earlier"
    (folder / "data").mkdir(parents=True)
    with duckdb.connect() as connection:
        for table, (own_time, later) in TIMES.items():
            masked = ", ".join(
                f"if({known_at} < date '{EARLIER}', {column}, null) as {column}"
                for column, known_at in later.items()
            )
            connection.execute(
                f"copy (select * {f'replace ({masked})' if masked else ''}"
                f" from '{scored.data / table}.parquet' where {own_time} < date '{EARLIER}')"
                f" to '{folder / 'data' / table}.parquet'"
            )
    text = scored.config.read_text(encoding="utf-8")
    text = text.replace('folder = "mlruns"', f'folder = "{scored.folder / "mlruns"}"')
    (folder / "healthscore.toml").write_text(text, encoding="utf-8")
    answer = run("score", "-c", folder / "healthscore.toml", "--json").answer
    assert answer["as_of"] == EARLIER
    kept = ", ".join(column for column in SCORES if column != "issued_at")
    with duckdb.connect(str(folder / "scores.duckdb"), read_only=True) as connection:
        alone = connection.execute(f"select {kept} from scores order by all").fetchall()
        why = connection.execute("select * from score_reasons order by all").fetchall()
    there = f"from {{}} where as_of = date '{EARLIER}' order by all"
    assert len(alone) == answer["rows"] > 100
    assert alone == scored.sql(f"select {kept} {there.format('scores')}")
    assert why == scored.sql(f"select * {there.format('score_reasons')}")


def test_hostile_names_are_stored_as_they_are_and_printed_harmless(
    scored, run, hostile_ids
) -> None:
    with duckdb.connect(str(scored.store)) as connection:
        here = {row[0] for row in connection.execute("select account_id from scores").fetchall()}
    assert len(here & set(hostile_ids.values())) >= 4
    ran = run("score", "-c", scored.config)
    assert ran.code == 0, ran.err
    assert "\x1b" not in ran.out
    assert "had been issued before" in ran.out


@pytest.mark.parametrize(
    ("day", "sentence"),
    [
        (
            "1999-01-01",
            "Date 1999-01-01 lies before the data, which start on 2024-01-01: nothing is known"
            " then; choose a date up to 2025-07-01",
        ),
        (
            "2035-01-01",
            "Date 2035-01-01 lies more than 7 days after the data, which end before 2025-07-01:"
            " every account would look silent; load newer data or choose a date up to 2025-07-01",
        ),
    ],
)
def test_a_date_outside_the_data_is_refused(project, run, day: str, sentence: str) -> None:
    ran = run("score", "-c", project.config, "--as-of", day)
    assert (ran.code, ran.sentence) == (3, sentence)
    assert not project.store.exists()


def test_a_date_shortly_after_the_data_is_scored_with_a_warning(project, run) -> None:
    answer = run("score", "-c", project.config, "--as-of", "2025-07-08", "--json").answer
    assert answer["warnings"] == [
        "The data end before 2025-07-01; 2025-07-08 is scored from what was known then"
    ]


def test_without_a_champion_nothing_is_scored(small, run) -> None:
    config = small()
    ran = run("score", "-c", config)
    assert ran.code == 5
    assert ran.sentence == (
        f"No champion of 'healthscore' was found in the registry '{config.parent / 'mlruns'}';"
        " train a model first."
    )
    assert sorted(path.name for path in config.parent.iterdir()) == ["data", "healthscore.toml"]


def test_a_champion_whose_signals_are_gone_is_refused(project, run) -> None:
    text = project.config.read_text(encoding="utf-8")
    project.config.write_text(text.replace("groups_off = []", 'groups_off = ["support"]'), "utf-8")
    ran = run("score", "-c", project.config)
    assert ran.code == 3
    assert ran.sentence.startswith("The model needs the signals 'tickets_")
    assert ran.sentence.endswith("map their tables and columns again or train a new champion")
    assert not project.store.exists()


def test_a_champion_whose_files_are_gone_is_refused(taught, project, run) -> None:
    shutil.rmtree(project.folder / "mlruns" / "artifacts")
    registry = project.folder / "mlruns" / "mlflow.db"
    registry.write_bytes(b"not a database")
    ran = run("score", "-c", project.config)
    assert ran.code == 5
    assert "its database could not be brought up to date" in ran.sentence


# The process dies when all scores are written and the engine would be told to commit.
KILLED = """
import os, signal, pipelines.store.duckdb as store
store._DuckdbRun._finish = lambda *given: os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_run_killed_before_it_commits_leaves_no_row(project, run, spawned) -> None:
    ran = spawned("score", "-c", project.config, "--json", before=KILLED)
    assert (ran.code, ran.out) == (-signal.SIGKILL, "")
    assert project.sql("select count(*) from score_rows") == [(0,)]
    assert project.sql("select count(*) from runs") == [(0,)]
    answer = run("score", "-c", project.config, "--json").answer
    assert not answer["issued_before"]
    assert project.sql("select count(*) from scores") == [(answer["rows"],)]


def test_a_night_reads_the_files_that_are_new(project, run) -> None:
    """Scores are those of a full night; a configuration elsewhere finds nothing kept."""
    tables = tomllib.loads(project.config.read_text("utf-8"))["source"]["url"]
    whole = project.folder / tables / "usage_events.parquet"
    folder = whole.with_suffix("")
    folder.mkdir()
    split = (
        f"copy (from '{whole}' where {{}} timestamp '2025-06-30') to '{folder}/part-{{}}.parquet'"
    )
    with duckdb.connect() as engine:
        engine.execute(split.format("occurred_at <", 0))
        engine.execute(split.format("occurred_at >=", 1))
    whole.unlink()
    newest = (folder / "part-1.parquet").rename(project.folder / "newest.parquet")
    with duckdb.connect() as engine:
        engine.execute(
            f"copy (from '{folder}/part-0.parquet' limit 0) to '{folder}/part-9.parquet'"
        )
    night = ("score", "-c", project.config, "--json", "--as-of")
    first = run(*night, EARLIER).answer
    assert first["read"] == ["usage_events: 0 of 2 files as before, 2 read anew"]
    newest.rename(folder / "part-1.parquet")
    second = run(*night, "2025-07-01").answer
    assert second["read"] == ["usage_events: 2 of 3 files as before, 1 read anew"]
    full = run(*night, "2025-07-01", "--full", "--force").answer
    assert full["read"] == ["usage_events: all 3 files read"]
    told = project.sql(
        "select max(abs(a.score - b.score)), max(abs(a.probability - b.probability)), count(*)"
        " from score_rows a join score_rows b using (account_id)"
        " join runs ra on ra.run_id = a.run_id join runs rb on rb.run_id = b.run_id"
        " where ra.as_of = '2025-07-01' and ra.revision = 1"
        " and rb.as_of = '2025-07-01' and rb.revision = 2"
    )
    assert told[0][:2] == pytest.approx((0, 0), abs=1e-9)
    assert told[0][2] == full["rows"]
