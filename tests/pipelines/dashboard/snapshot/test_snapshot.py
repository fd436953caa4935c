"""A snapshot answers as a plain reading of the tables does, within what a visitor may see."""

from __future__ import annotations

import os
import unicodedata
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import SettingsError, StoreError
from pipelines.dashboard.access.visitor import Visitor
from pipelines.dashboard.snapshot.paging import page_of
from pipelines.dashboard.snapshot.query import AccountQuery
from pipelines.dashboard.snapshot.watch import FOLDERS, Snapshots
from pipelines.store.opening import open_store
from tests.pipelines.dashboard.served import (
    DAY,
    HOSTILE,
    HOSTILE_IDS,
    OWNERS,
    PLANS,
    account_id,
    asked_alone,
    company,
    issue_scores,
)
from tests.pipelines.issued import read

ACCOUNTS = 200
ADMIN = Visitor("root", "admin")
ANN = Visitor("ann", "viewer", frozenset({"Ann Lee"}))
BOTH = Visitor("bob", "viewer", frozenset({"Bob <b>Ray</b>", "Zoé"}))
NOBODY = Visitor("new", "viewer", frozenset())
BLANK = Visitor("blank", "viewer", frozenset({""}))
VISITORS = (ADMIN, ANN, BOTH, NOBODY, BLANK, Visitor("x", "viewer", frozenset({"' or 1=1 --"})))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = company(tmp_path_factory.mktemp("snapshot") / "company", ACCOUNTS)
    issue_scores(made, ACCOUNTS)
    return made


@pytest.fixture(scope="module")
def snapshot(project):
    with Snapshots(project, asked_alone(project)) as snapshots:
        snapshots.refresh()
        found = snapshots.current("main")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def rows(project):
    """The same accounts, put together without the panel."""
    scores = {row["account_id"]: row for row in read(project).to_pylist()}
    found = []
    for number in range(ACCOUNTS):
        row = scores[account_id(number)]
        arr = None if row["mrr"] is None else 12 * row["mrr"]
        month = 1 + number % 12
        age = (DAY - date(2024, month, 1)).days
        renews = (date(2025, 2 + number % 6, 1) - DAY).days
        stage = "onboarding" if age < 90 else "renewal" if renews <= 90 else "established"
        name = HOSTILE.get(number, f"Company {number} {'Gmbh' if number % 2 else 'Ltd'}")
        found.append(
            {
                **{
                    key: row[key] for key in row if not key.startswith(("points", "reason", "base"))
                },
                "name": name.strip() or None,
                "owner": OWNERS[number % 4] or None,
                "lifecycle": stage,
                "plan": PLANS[number % 3] or None,
                "seats": float(number % 7) or None,
                "arr": arr,
                "stake": None if arr is None else row["probability"] * arr,
            }
        )
    return sorted(found, key=lambda row: row["account_id"].encode())


def plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text.lower())
    return "".join(one for one in decomposed if unicodedata.category(one) != "Mn")


def expected(rows, visitor, query):
    """Search, pick and sort in plain Python."""
    kept = [row for row in rows if visitor.owners is None or row["owner"] in visitor.owners]
    if query.search.strip():
        words = plain(query.search).split()
        held = {
            id(row): plain("\n".join([row["account_id"], row["name"] or "", row["owner"] or ""]))
            for row in kept
        }
        kept = [row for row in kept if all(word in held[id(row)] for word in words)]
    for facet, values in query.wanted.items():
        kept = [row for row in kept if (row[facet] or "") in values]
    if query.score_from is not None:
        kept = [row for row in kept if row["score"] >= query.score_from]
    if query.score_to is not None:
        kept = [row for row in kept if row["score"] <= query.score_to]
    known = [row for row in kept if row[query.sort] is not None]
    unknown = [row for row in kept if row[query.sort] is None]

    def key(row):
        value = row[query.sort]
        return value.encode() if isinstance(value, str) else value

    # Stable both ways, so that ties stay in order of id going up, and turn round going down.
    known.sort(key=key)
    if query.descending:
        known.reverse()
    return known + unknown


SORTS = (
    "account_id name owner lifecycle segment score probability coverage arr stake plan seats"
).split()
QUERIES = st.builds(
    AccountQuery,
    search=st.sampled_from(["", " ", "company 1", "GMBH", "a-00", "<script", "%", "_", "id", "'"]),
    wanted=st.dictionaries(
        st.sampled_from(["band", "owner", "plan", "lifecycle"]),
        st.lists(
            st.sampled_from(["", "watch", "healthy", "Ann Lee", "Zoé", "pro", "renewal", "x"]),
            min_size=1,
            max_size=3,
        ).map(tuple),
        max_size=2,
    ),
    score_from=st.sampled_from([None, 20.0, 45.5]),
    score_to=st.sampled_from([None, 60.0]),
    sort=st.sampled_from(SORTS),
    descending=st.booleans(),
    size=st.sampled_from([1, 7, 50, 200]),
)


@settings(max_examples=120)
@given(query=QUERIES, visitor=st.sampled_from(VISITORS), data=st.data())
def test_a_page_is_what_plain_reading_gives(snapshot, rows, query, visitor, data) -> None:
    wanted = [row["account_id"] for row in expected(rows, visitor, query)]
    page = page_of(snapshot, visitor, query)
    assert [row["account_id"] for row in page.rows] == wanted[: query.size]
    assert (page.total, page.first) == (len(wanted), 1 if wanted else 0)
    assert page.has_previous is False
    assert page.has_next is (len(wanted) > query.size)
    if not wanted:
        return
    place = data.draw(st.integers(0, len(wanted) - 1))
    after = page_of(snapshot, visitor, AccountQuery(**vars(query) | {"after": wanted[place]}))
    assert [row["account_id"] for row in after.rows] == wanted[place + 1 :][: query.size]
    assert after.first == (place + 2 if after.rows else 0)
    before = page_of(snapshot, visitor, AccountQuery(**vars(query) | {"before": wanted[place]}))
    begin = max(0, place - query.size)
    assert [row["account_id"] for row in before.rows] == wanted[begin:][: query.size]
    assert before.first == begin + 1
    last = page_of(snapshot, visitor, AccountQuery(**vars(query) | {"at_end": True}))
    assert [row["account_id"] for row in last.rows] == wanted[-query.size :]
    assert last.last == len(wanted)


@pytest.mark.parametrize("visitor", VISITORS, ids=lambda visitor: visitor.name)
def test_turning_pages_meets_every_account_once(snapshot, rows, visitor) -> None:
    query = AccountQuery(sort="arr", size=30)
    wanted = [row["account_id"] for row in expected(rows, visitor, query)]
    met, page = [], page_of(snapshot, visitor, query)
    while page.rows:
        met += [row["account_id"] for row in page.rows]
        page = page_of(snapshot, visitor, AccountQuery(**vars(query) | {"after": met[-1]}))
    assert met == wanted


def test_a_row_holds_what_the_tables_say(snapshot, rows) -> None:
    page = page_of(snapshot, ADMIN, AccountQuery(sort="account_id", descending=False, size=200))
    for shown, row in zip(page.rows, rows, strict=True):
        assert shown["attributes"] == {"plan": row["plan"], "seats": row["seats"]}
        for name in ("account_id", "name", "owner", "lifecycle", "segment", "band", "mrr"):
            assert shown[name] == row[name], name
        assert shown["stake"] == pytest.approx(row["stake"])
        # What is sensitive is nowhere.
        assert "gender" not in str(shown)


def test_an_account_is_shown_to_those_who_may_see_it_alone(snapshot, rows) -> None:
    for row in rows:
        for visitor in VISITORS:
            found = snapshot.account(visitor, row["account_id"])
            may = visitor.owners is None or row["owner"] in visitor.owners
            assert (found is not None) is may
            if found is not None:
                assert found["name"] == row["name"]
                assert len(found["reason_signals"]) == len(found["reason_points"])
    for stranger in ("", "A-9999", "A-0001'--", "a-0001", "\0", "L" * 100_000, "A-0001\n"):
        assert snapshot.account(ADMIN, stranger) is None


def test_no_place_tells_of_an_account_that_is_not_ones_own(snapshot, rows) -> None:
    others = [row["account_id"] for row in rows if row["owner"] != "Ann Lee"]
    for sort in ("score", "name"):
        query = AccountQuery(sort=sort)
        first = page_of(snapshot, ANN, query)
        for other in [*others[:20], "nobody"]:
            for place in ("after", "before"):
                page = page_of(snapshot, ANN, AccountQuery(**vars(query) | {place: other}))
                assert page == first


def test_values_to_pick_from_are_those_of_ones_own_accounts(snapshot, rows) -> None:
    assert snapshot.values_of(ANN)["owner"] == ["Ann Lee"]
    assert snapshot.values_of(NOBODY)["plan"] == []
    assert set(snapshot.values_of(ADMIN)["owner"]) == {*OWNERS[:3], None}
    assert set(snapshot.values_of(BOTH)["plan"]) == {"pro", "free", None}


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (AccountQuery(sort="scor"), "Accounts are not sorted by 'scor'; did you mean 'score'?"),
        (AccountQuery(sort="1; drop table accounts"), "Accounts are not sorted by '1; drop"),
        (AccountQuery(wanted={"gender": ("x",)}), "Accounts are not picked by 'gender'; "),
        (AccountQuery(wanted={"seats": ("1",)}), "Accounts are not picked by 'seats'; "),
    ],
)
def test_what_is_not_there_is_not_asked(snapshot, query, says) -> None:
    with pytest.raises(SettingsError) as refused:
        page_of(snapshot, ADMIN, query)
    assert str(refused.value).startswith(says)


def test_what_the_engine_cannot_do_is_a_sentence(snapshot) -> None:
    with pytest.raises(
        StoreError, match=r"The panel's copy of the scores could not be used: .*; ask"
    ):
        snapshot.ask("select error('full')")


def test_batches_hold_the_whole_view_in_order(snapshot, rows) -> None:
    query = AccountQuery(sort="name", descending=False, wanted={"plan": ("pro",)})
    batches = list(snapshot.batches(BOTH, query, ("account_id",), 7))
    wanted = [row["account_id"] for row in expected(rows, BOTH, query)]
    assert [one for batch in batches for one in batch.column(0).to_pylist()] == wanted


# Taking snapshots.


def test_newer_runs_and_revisions_are_taken_up_and_the_store_is_let_go(tmp_path) -> None:
    project = company(tmp_path / "company", 30)
    with Snapshots(project, asked_alone(project)) as snapshots:
        snapshots.refresh()
        assert snapshots.current("main") is None
        assert "does not exist; issue scores with" in snapshots.why_none("main", ADMIN)
        assert "does not exist" not in snapshots.why_none("main", ANN)
        issue_scores(project, 30)
        snapshots.refresh()
        first = snapshots.current("main")
        assert first.run.revision == 1
        snapshots.refresh()
        assert snapshots.current("main") is first
        issue_scores(project, 20, seed=1, force=True)
        snapshots.refresh()
        second = snapshots.current("main")
        assert (second.run.revision, page_of(second, ADMIN, AccountQuery()).total) == (2, 20)
        issue_scores(project, 30, day=date(2025, 2, 1), version="2")
        issue_scores(project, 30, day=date(2024, 2, 1), version="3")
        snapshots.refresh()
        assert snapshots.current("main").run.key.model_version == "2"
        # Whoever still looks at the earlier one reads it to the end.
        assert page_of(first, ADMIN, AccountQuery()).total == 30
        # Another writer may come at any time.
        with open_store(project, read_only=False):
            pass
        assert snapshots.current("growth") is None
        folder = snapshots._folder
        assert not any(folder.iterdir())
    assert not folder.exists()


def test_while_the_store_cannot_be_read_the_earlier_scores_serve_and_say_so(tmp_path) -> None:
    project = company(tmp_path / "company", 30)
    issue_scores(project, 30)
    store = tmp_path / "company" / "scores.duckdb"
    with Snapshots(project, asked_alone(project)) as snapshots:
        snapshots.refresh()
        held = snapshots.current("main")
        assert snapshots.stale("main", ADMIN) is None
        kept = store.read_bytes()
        store.write_bytes(b"broken")
        snapshots.refresh()
        assert snapshots.current("main") is held
        told = snapshots.stale("main", ADMIN)
        assert told.startswith("These may not be the newest scores: since 20")
        assert str(store) in told
        assert str(store) not in snapshots.stale("main", ANN)
        assert snapshots.stale("main", ANN).endswith("an admin is told here why.")
        snapshots.refresh()
        assert snapshots.stale("main", ADMIN).partition("UTC")[0] == told.partition("UTC")[0]
        store.write_bytes(kept)
        snapshots.refresh()
        assert snapshots.stale("main", ADMIN) is None


def test_without_its_tables_a_run_is_shown_by_ids(tmp_path) -> None:
    project = company(tmp_path / "company", 30)
    issue_scores(project, 30)
    (tmp_path / "company" / "data" / "accounts.parquet").unlink()
    with Snapshots(project, asked_alone(project)) as snapshots:
        snapshots.refresh()
        found = snapshots.current("main")
        assert found.contents.notes[0].sentence.startswith("Names, owners and attributes of")
        row = found.account(ADMIN, account_id(1))
        assert (row["name"], row["owner"], row["attributes"]) == (None, None, {})
        # Whose account it is is not known, so nobody with a limit sees it.
        assert page_of(found, ANN, AccountQuery()).total == 0


def test_a_store_that_lost_a_part_is_said_to_be_so(tmp_path) -> None:
    project = company(tmp_path / "company", 30)
    issue_scores(project, 30)
    store = tmp_path / "company" / "scores.duckdb"
    with Snapshots(project, asked_alone(project)) as snapshots:
        snapshots.refresh()
        assert snapshots.stale("main", ADMIN) is None
        store.write_bytes(store.read_bytes()[: store.stat().st_size // 2])
        snapshots.refresh()
        assert snapshots.stale("main", ANN).startswith("These may not be the newest scores: since")
        assert page_of(snapshots.current("main"), ADMIN, AccountQuery()).total == 30
        # It stays so until the store is whole again.
        snapshots.refresh()
        assert snapshots.stale("main", ANN) is not None


def test_what_a_killed_panel_left_is_removed_and_nothing_else(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    project = company(tmp_path / "company", 5)
    left, young, other = (tmp_path / name for name in ("healthscore-panel-a", f"{FOLDERS}b", "c"))
    for folder in (left, young, other):
        folder.mkdir()
        (folder / "copy.duckdb").write_bytes(b"scores")
    link = tmp_path / f"{FOLDERS}link"
    link.symlink_to(other)
    with Snapshots(project, asked_alone(project)):
        (running,) = set(tmp_path.glob(f"{FOLDERS}*")) - {left, young, link}
        for folder in (left, other, running):
            os.utime(folder, (1_000_000_000, 1_000_000_000))
        with Snapshots(project, asked_alone(project)):
            assert not left.exists()
            assert young.exists()
            assert other.exists()
            assert running.exists()
    assert not running.exists()


def test_hostile_ids_are_found_as_they_are(snapshot) -> None:
    for number, text in HOSTILE_IDS.items():
        assert snapshot.account(ADMIN, text)["account_id"] == account_id(number)
