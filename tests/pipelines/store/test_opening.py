"""What every score store does, whichever engine keeps it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from features.errors import StoreError
from pipelines.project.project import Project
from pipelines.store.opening import open_store
from pipelines.store.runs import AlreadyIssued, NoStore, RunKey
from pipelines.store.schema import HISTORY_SCHEMA, PORTFOLIO_SCHEMA, RETIRED, SCORE_SCHEMA, SHOWN
from pipelines.store.writer import with_decimals
from tests.pipelines.issued import (
    DAY,
    FACTS,
    GROUPS_OF,
    KEY,
    STORES,
    batch,
    contents,
    fresh,
    issue,
    issuing,
    read,
)

HOSTILE = [
    "",
    " ",
    "O'Brien\"; drop table runs; --",
    "\x1b[31mred\x1b[0m",
    "\u202eRTL עברית",
    "L" * 300,
    "new\nline\r\n\ttab",
    "\\",
    '\\"',
    "NULL",
    "\\N",
    "{a,b}",
    "=cmd()",
    "%s ? $1 :name",
    "Ωé😀",
    "../../etc",
]
Place = Callable[[], Project]


@pytest.fixture(scope="module", params=STORES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def place(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Place:
    """Return a function that names a fresh place of one kind."""

    def named() -> Project:
        server = request.getfixturevalue("server") if kind == "postgres" else None
        return fresh(kind, tmp_path_factory, server)

    return named


@pytest.fixture
def project(place: Place) -> Project:
    return place()


def test_what_is_written_is_read(project: Project) -> None:
    given = batch(HOSTILE)
    before = datetime.now(tz=UTC).replace(tzinfo=None)
    run = issue(project, given.slice(0, 5), given.slice(5, 0), given.slice(5))
    after = datetime.now(tz=UTC).replace(tzinfo=None)
    assert (run.key, run.revision, run.rows, run.facts) == (KEY, 1, len(HOSTILE), FACTS)
    assert before <= run.issued_at <= after
    with open_store(project, read_only=True) as store:
        assert store.runs() == [run]
        assert store.newest(KEY) == run
        reader = store.scores(run)
        assert reader.schema == SCORE_SCHEMA
        found = reader.read_all()
    order = sorted(range(len(HOSTILE)), key=lambda row: HOSTILE[row].encode())
    assert found.to_pylist() == pa.Table.from_batches([given]).take(order).to_pylist()


def test_letters_of_earlier_versions_are_held_and_no_more_are_issued(project: Project) -> None:
    old = issue(project, batch(["A", "B"]))
    since = RunKey(KEY.outcome, KEY.as_of, "of today")
    new = issue(project, batch(["A", "B"]).drop_columns([RETIRED]), key=since)
    with open_store(project, read_only=True) as store:
        held = [store.scores(run, columns=[RETIRED]).read_all().to_pydict() for run in (old, new)]
        assert held == [{RETIRED: ["C", "C"]}, {RETIRED: ["", ""]}]
        assert RETIRED not in store.account_history(KEY.outcome, "A").column_names


def test_an_answer_nobody_read_to_its_end_blocks_nobody(project: Project) -> None:
    run = issue(project, batch([f"A-{number:06d}" for number in range(140_000)]))
    with open_store(project, read_only=True) as store:
        reader = store.scores(run, columns=["account_id"])
        assert reader.read_next_batch()["account_id"][0].as_py() == "A-000000"
    # The reader still lives, as in a traceback that somebody looks at.
    assert issue(project, batch(["B"]), force=True).revision == 2
    assert read(project).num_rows == 1
    del reader


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
# More digits than a decimal of a Parquet file has are refused.
FLOATS = st.floats(-1e8, 1e8)


@pytest.fixture(scope="module")
def filled(place: Place) -> tuple[Project, Iterator[date]]:
    return place(), (DAY + timedelta(days=number) for number in range(10_000))


@hypothesis_settings(max_examples=8)
@given(
    rows=st.lists(
        st.tuples(
            TEXT,
            FLOATS,
            st.one_of(st.none(), FLOATS),
            st.lists(st.tuples(FLOATS, st.one_of(st.none(), TEXT)), max_size=5),
        ),
        min_size=1,
        max_size=20,
        unique_by=lambda row: row[0],
    )
)
def test_any_text_and_number_comes_back_as_it_was(
    filled: tuple[Project, Iterator[date]], rows: list[tuple[Any, ...]]
) -> None:
    project, days = filled
    accounts, scores, mrr, reasons = zip(*rows, strict=True)
    given = batch(
        accounts,
        score=scores,
        mrr=mrr,
        reason_signals=[["plan"] * len(listed) for listed in reasons],
        reason_points=[[points for points, _ in listed] for listed in reasons],
        reason_values=[[value for _, value in listed] for listed in reasons],
    )
    key = replace(KEY, as_of=next(days))
    issue(project, given, key=key)
    expected = sorted(with_decimals(given).to_pylist(), key=lambda row: row["account_id"].encode())
    assert read(project, key).to_pylist() == expected


def test_an_issued_run_stays_and_a_forced_one_is_a_further_revision(project: Project) -> None:
    first = issue(project, batch(["A", "B"], seed=1))
    before = contents(project)
    stays = re.escape(
        f"Scores of 2025-01-01 by model version 1 (outcome main) were issued at"
        f" {first.issued_at:%Y-%m-%d %H:%M} UTC as revision 1 and stay as they are; pass --force to"
        " issue a further revision"
    )
    with pytest.raises(AlreadyIssued, match=stays) as refused:
        issue(project, batch(["A", "C"], seed=2))
    assert refused.value.run == first
    assert contents(project) == before
    second = issue(project, batch(["A", "C"], seed=2), force=True)
    assert second.revision == 2
    assert second.issued_at >= first.issued_at
    with open_store(project, read_only=True) as store:
        assert store.runs() == [first, second]
        assert store.newest(KEY) == second
        assert store.scores(first).read_all().to_pylist() == next(iter(before.values()))
        assert store.scores(second).read_all()["account_id"].to_pylist() == ["A", "C"]
        assert store.account_history("main", "A")["revision"].to_pylist() == [2]
        assert store.account_history("main", "B").num_rows == 0


def test_runs_of_other_dates_models_and_outcomes_stand_beside(project: Project) -> None:
    keys = [
        RunKey("main", date(2025, 2, 1), "2"),
        RunKey("main", DAY, "10"),
        RunKey("growth", DAY, "1"),
        RunKey("main", DAY, "a/b=c %2F..'\"?"),
    ]
    runs = [issue(project, batch(["A"], seed=n), key=key) for n, key in enumerate(keys)]
    by_date = [*runs[1:], runs[0]]
    with open_store(project, read_only=True) as store:
        assert store.runs() == by_date
        assert store.runs("main") == [run for run in by_date if run.key.outcome == "main"]
        assert store.runs("' or true --") == []
        assert store.newest(KEY) is None
        assert [store.newest(key) for key in keys] == runs


@pytest.mark.parametrize("ending", ["nothing", "error"])
def test_a_block_that_is_left_without_an_end_leaves_nothing(project: Project, ending: str) -> None:
    issue(project, batch(["A"]), key=replace(KEY, model_version="0"))
    before = contents(project)

    def abandon() -> None:
        with issuing(project) as (_, writer):
            writer.write(batch(["B", "C"]))
            if ending == "error":
                raise OSError("the caller's own")

    if ending == "error":
        with pytest.raises(OSError, match=r"^the caller's own$"):
            abandon()
    else:
        abandon()
    assert contents(project) == before
    assert issue(project, batch(["D"])).revision == 1


@pytest.mark.parametrize("batches", [(["A", "B", "A"],), (["A", "B"], ["C", "A"])])
def test_an_account_that_comes_twice_keeps_all_out(project: Project, batches: Any) -> None:
    with pytest.raises(StoreError, match="scores hold the account 'A' more than once") as refused:
        issue(project, *(batch(accounts) for accounts in batches))
    assert str(refused.value).endswith("make the accounts of the tables unique and run again")
    with open_store(project, read_only=False) as store:
        assert store.runs() == []
    assert issue(project, batch(["A"])).rows == 1


def test_some_accounts_and_columns_are_read_alone(project: Project) -> None:
    run = issue(project, batch(["B", "A", "C"]))
    with open_store(project, read_only=True) as store:
        some = store.scores(run, accounts=["C", "Z", "A"], columns=["mrr", "account_id"])
        assert some.read_all().to_pylist() == [
            {"mrr": 10.0, "account_id": "A"},
            {"mrr": 20.0, "account_id": "C"},
        ]
        assert store.scores(run, accounts=[]).read_all().num_rows == 0
        assert store.scores(run, accounts=["') or true --"]).read_all().num_rows == 0
        with pytest.raises(StoreError, match=r"no column 'scor'; did you mean 'score'\?"):
            store.scores(run, columns=["scor"])
        with pytest.raises(StoreError, match=r"no column '1; drop.*'; there are \['account_id'"):
            store.scores(run, columns=["1; drop table runs"])
        # One answer is read while another is asked for.
        streamed = store.scores(run)
        assert store.newest(KEY) == run
        assert streamed.read_all()["account_id"].to_pylist() == ["A", "B", "C"]


def test_histories_are_what_the_runs_say(project: Project) -> None:
    expected, sums = [], []
    names = [f"A{number}" for number in range(30)]
    for number, (day, version) in enumerate([(3, "1"), (1, "1"), (2, "1"), (2, "2")]):
        key = RunKey("main", date(2025, 1, day), version)
        given = batch(names[number:], seed=number)
        for force in (False, True) if number == 1 else (False,):
            run = issue(project, given, key=key, force=force)
        rows = given.to_pylist()
        told = {"as_of": key.as_of, "model_version": version, "issued_at": run.issued_at}
        found = [row for row in rows if row["account_id"] == "A2"]
        shown = [{name: row[name] for name in SHOWN} for row in found]
        expected += [{"outcome": "main", **told, "revision": run.revision, **row} for row in shown]
        for band in ("at-risk", "healthy", "watch"):
            held = [row for row in rows if row["band"] == band]
            mrr = [row["mrr"] for row in held if row["mrr"] is not None]
            mean = sum(row["score"] for row in held) / len(held)
            assert mrr
            sums.append(
                told
                | {"band": band, "accounts": len(held), "mrr": pytest.approx(sum(mrr))}
                | {"mean_score": pytest.approx(mean, abs=1e-9)}
            )
    issue(project, batch(names), key=RunKey("growth", DAY, "1"))

    def by_date(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted(rows, key=lambda row: (row["as_of"], row["issued_at"], row.get("band", "")))

    with open_store(project, read_only=True) as store:
        history = store.account_history("main", "A2")
        assert history.schema == HISTORY_SCHEMA
        assert history.to_pylist() == by_date(expected)
        assert len(expected) == 3
        portfolio = store.portfolio_history("main")
        assert portfolio.schema == PORTFOLIO_SCHEMA
        assert portfolio.to_pylist() == by_date(sums)
        assert store.account_history("main", "' or true --").num_rows == 0
        assert store.portfolio_history("other").num_rows == 0


def test_mrr_that_nobody_knows_stays_unknown(project: Project) -> None:
    nan = float("nan")
    issue(project, batch(["A", "B", "C"], mrr=[None, nan, nan], band=["watch"] * 3))
    assert read(project)["mrr"].to_pylist() == [None] * 3
    with open_store(project, read_only=True) as store:
        assert store.portfolio_history("main")["mrr"].to_pylist() == [None]


def test_without_a_store_nothing_is_read_and_reading_makes_none(project: Project) -> None:
    message = re.escape(
        f"The score store '{project.store_shown}' does not exist; issue scores with"
    )
    with pytest.raises(NoStore, match=message), open_store(project, read_only=True):
        pass
    assert [path.name for path in project.folder.iterdir()] == ["healthscore.toml"]
    run = issue(project, batch(["A"]))
    with open_store(project, read_only=True) as store:
        assert store.newest(KEY) == run
        refused = pytest.raises(StoreError, match="is opened for reading alone")
        with refused, store.issue(KEY, GROUPS_OF):
            pass


def test_a_finished_run_is_finished(project: Project) -> None:
    with issuing(project) as (_, writer):
        writer.write(batch(["A"]))
        writer.finish({})
        with pytest.raises(RuntimeError, match="finished once"):
            writer.finish({})
    assert read(project).num_rows == 1
