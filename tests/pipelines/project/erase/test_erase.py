"""Erasing accounts and people from all that a project keeps."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from features.errors import StoreError
from pipelines.plays.experiment.ledger import Assignment, Draw, Ledger
from pipelines.portfolio.outbox.ledger import Record, opened_ledger
from pipelines.project.erase import erase as module
from pipelines.project.erase.records import erase_records
from pipelines.project.erase.subject import Subject
from pipelines.project.project import load_project
from pipelines.project.records.calls import call_book, call_entry
from pipelines.project.records.erased import erased_book
from pipelines.project.records.overrides import Override, override_book

ACCOUNT, OTHER = "A-00042", "A-00043"
MOMENT = datetime(2025, 5, 1, 8)
CONFIG = '\n[experiments.calls]\nplay = "call"\nexclude = ["A-00042", "A-00099"]\n'


@pytest.fixture
def name(scored) -> str:
    table = pq.read_table(scored.data / "accounts.parquet", columns=["account_id", "name"])
    names = dict(zip(*table.to_pydict().values(), strict=True))
    return str(names[ACCOUNT])


@pytest.fixture
def kept(scored, tmp_path, name):
    """A project that knows of an account whatever can be known."""
    folder = tmp_path / "project"
    shutil.copytree(scored.folder, folder)
    project = replace(scored, folder=folder, config=folder / scored.config.name)
    call_book(folder).record(
        [
            call_entry(ACCOUNT, "called", by="ben", moment=MOMENT, note="Spoke to Eve", key="k1"),
            call_entry(OTHER, "open", by="ann", moment=MOMENT, note=f"Like {name}, says Ben"),
        ]
    )
    override_book(folder).record(
        Override(
            ACCOUNT, "main", "watch", "Eve leaves soon", "ben", MOMENT, date(2025, 6, 1),
            date(2025, 5, 1), "1", "healthy", 0.02, 0.1,
        )
    )  # fmt: skip
    assigned = tuple(Assignment(one, True, "all", 0.2, "ben") for one in (ACCOUNT, OTHER))
    ledger = Ledger(folder / "experiments.jsonl")
    with ledger.adding():
        ledger.add(Draw("calls", date(2025, 5, 1), MOMENT, "1", 0.2, 7, assigned))
    with opened_ledger(folder / "digests.jsonl") as digests:
        told = (f"entered:{ACCOUNT}:2025-05-01", f"renewal:{OTHER}:2025-06-01:60")
        digests.add(Record("d", "sent", "2025-05-01", "b", told))
    (folder / "portfolio.html").write_text(f"<b>{name}</b>", "utf-8")
    (folder / "drift.html").write_text("<b>nobody</b>", "utf-8")
    (folder / "pack.pdf").write_bytes(b"%PDF")
    cache = folder / "scores.duckdb.panes" / "usage" / "one.parquet"
    cache.parent.mkdir(parents=True)
    cache.write_bytes(ACCOUNT.encode())
    of_former_store = folder / "former.panes" / "two.parquet"
    of_former_store.parent.mkdir()
    of_former_store.write_bytes(ACCOUNT.encode())
    return project


def take_out(project, account: str = ACCOUNT) -> None:
    """Delete an account from the source tables, as their owner would."""
    import pyarrow.compute as pc

    for file in project.data.glob("*.parquet"):
        table = pq.read_table(file)
        if "account_id" in table.column_names:
            pq.write_table(table.filter(pc.not_equal(table["account_id"], account)), file)


def holding(folder: Path, *words: str) -> list[str]:
    """List the files that hold a word, in their bytes or in their columns."""
    files = []
    for file in sorted(one for one in folder.rglob("*") if one.is_file()):
        if "data" in file.relative_to(folder).parts[:1]:
            continue
        held = file.read_bytes()
        if file.suffix == ".parquet" and held.startswith(b"PAR1"):
            held += json.dumps(pq.read_table(file).to_pydict(), default=str).encode()
        if any(word.encode() in held for word in words):
            files.append(file.name)
    return files


def erased(run, project, *options: object, account: str = ACCOUNT, code: int = 0):
    ran = run("erase", account, "-c", project.config, "--yes", "--json", *options)
    assert ran.code == code, ran.err
    return json.loads(ran.out)


def test_many_files_are_told_of_in_a_line_that_can_be_read() -> None:
    left = [f"files/{number:03}.txt" for number in range(190)]
    report = module.ErasedReport("account", None, False, {}, False, {}, [], [], left=left)
    (line,) = [one for one in report.said if "still name it" in one]
    assert line == (
        f"These files still name it: {', '.join(left[:10])} and 180 more, which --json lists;"
        " delete or mend them"
    )


def test_nothing_of_an_account_is_left(run, kept, name) -> None:
    take_out(kept)
    assert set(holding(kept.folder, ACCOUNT)) >= {
        "calls.jsonl", "digests.jsonl", "experiments.jsonl", "overrides.jsonl", "scores.duckdb",
        "holdout.parquet", "one.parquet", "two.parquet",
    }  # fmt: skip
    told = erased(run, kept, "--also", name)
    assert told["whole"]
    assert (told["left"], told["source"]) == ([], {})
    counted = {"runs": 2, "calls": 2, "overrides": 1, "experiments": 1, "digests": 1}
    assert counted.items() <= told["places"].items()
    # Earlier tests may have left what was kept of checks beside the panes and the copy.
    assert told["places"]["caches"] >= 3
    assert [Path(file).name for file in told["pages"]] == ["portfolio.html", "pack.pdf"]
    assert told["models"][0] | {"is_certain": True, "is_serving": True} == told["models"][0]
    assert holding(kept.folder, ACCOUNT, name) == []
    stone = told["tombstone"]
    # The same name everywhere, and everything else as it was.
    first, second = call_book(kept.folder).entries()
    assert (first.account_id, first.note, first.key, first.by) == (stone, "", "", "ben")
    assert (second.account_id, second.note) == (OTHER, f"Like {stone}, says Ben")
    (override,) = override_book(kept.folder).entries()
    assert (override.account_id, override.reason) == (stone, "erased")
    (draw,) = Ledger(kept.folder / "experiments.jsonl").draws()
    assert [one.account_id for one in draw.assignments] == [stone, OTHER]
    counts = kept.sql("select count(*) from score_rows where account_id = ?", stone)
    assert counts == [(2,)]
    assert run("verify-store", "-c", kept.config, "--json").answer["same"]
    ran = run("verify-run", "-c", kept.config, "--json")
    again = json.loads(ran.out)
    # Its ratings are gone too, and with them some of what its raters are measured by.
    assert (again["gone"], again["extra"], again["erased"]) == (0, 0, 1)
    assert again["largest_difference"] < 0.1
    assert "what is now called erased-" in again["said"][-2]
    assert again["said"][-1].startswith("The run fits its seal and what was erased from it, so")
    # Once more it is known when it was, and nothing is done.
    more = erased(run, kept)
    assert more["notes"][0].startswith("It was erased on ")
    assert stone in more["notes"][0]


def test_an_account_of_the_tables_is_refused_and_nothing_changes(run, kept) -> None:
    before = {file: file.read_bytes() for file in kept.folder.rglob("*") if file.is_file()}
    ran = run("erase", ACCOUNT, "-c", kept.config, "--yes")
    assert ran.code == 3
    assert ran.sentence.startswith(
        f"The tables still hold account '{ACCOUNT}', in accounts (1), subscriptions ("
    )
    assert ran.sentence.endswith("or leave it out from now on with --block")
    rehearsed = run("erase", ACCOUNT, "-c", kept.config, "--dry-run", "--block", "--json").answer
    assert rehearsed["places"]["runs"] == 2
    assert (rehearsed["tombstone"], rehearsed["is_done"]) == (None, False)
    after = {file: file.read_bytes() for file in kept.folder.rglob("*") if file.is_file()}
    changed = [file.name for file in before if after.get(file) != before[file]]
    assert [name for name in changed if "mlflow" not in name] == []
    assert not (kept.folder / "erasures.jsonl").exists()


def test_what_is_left_out_does_not_come_back(run, kept, name, tmp_path) -> None:
    told = erased(run, kept, "--block")
    assert told["is_blocked"]
    assert told["source"]["accounts"] == 1
    assert holding(kept.folder, ACCOUNT, name) == []
    scored = run("score", "-c", kept.config, "--as-of", "2025-02-15", "--json").answer
    assert scored["rows"] > 0
    assert holding(kept.folder, ACCOUNT) == []
    rows = kept.sql("select count(*) from score_rows where account_id = ?", told["tombstone"])
    assert rows == [(2,)]
    calls = tmp_path / "calls.csv"
    calls.write_text(f"account_id,done_at\n{ACCOUNT},2025-05-01\n{OTHER},2025-05-01\n", "utf-8")
    imported = run("calls", "import", calls, "-c", kept.config, "--json").answer
    assert imported["kept"] == 1
    assert holding(kept.folder, ACCOUNT) == []


def test_what_still_holds_it_is_named(run, kept, name) -> None:
    take_out(kept)
    (kept.folder / "notes.csv").write_text(f"a,{ACCOUNT}\n", "utf-8")
    config = kept.config.read_text("utf-8")
    kept.config.write_text(config + CONFIG, "utf-8")
    told = erased(run, kept, "--also", name, code=15)
    assert [Path(file).name for file in sorted(told["left"])] == ["healthscore.toml", "notes.csv"]
    assert not told["whole"]


def test_asked_again_it_still_names_what_holds_it(run, kept, name) -> None:
    take_out(kept)
    notes = kept.folder / "notes.csv"
    notes.write_text(f"a,{ACCOUNT}\n", "utf-8")
    erased(run, kept, "--also", name, code=15)
    assert erased(run, kept, "--also", name, code=15)["left"] == [str(notes)]
    notes.unlink()
    assert erased(run, kept, "--also", name)["left"] == []
    assert len(erased_book(kept.folder).entries()) == 2


def test_accounts_with_longer_names_keep_theirs(kept) -> None:
    subject = Subject("account", ACCOUNT, (), "erased-1")
    text = f"{ACCOUNT}-b and b-{ACCOUNT} met ({ACCOUNT}) and {ACCOUNT}."
    assert subject.without(text) == f"{ACCOUNT}-b and b-{ACCOUNT} met (erased-1) and erased-1."
    others = (
        f"entered:org:{ACCOUNT}:2025-05-01", f"renewal:org:{ACCOUNT}:2025-06-01:60",
        f"entered:{ACCOUNT}:b:2025-05-01", f"failed:{ACCOUNT}:b:2025-05-01",
    )  # fmt: skip
    theirs = (f"renewal:{ACCOUNT}:2025-06-01:60", f"failed:{ACCOUNT}:2025-05-01")
    path = kept.folder / "digests.jsonl"
    with opened_ledger(path) as digests:
        digests.add(Record("e", "sent", "2025-05-01", "b", (*others, *theirs)))
    erase_records(load_project(kept.config), subject, do=True)
    with opened_ledger(path) as digests:
        assert digests.records[-1].told == (
            *others, "renewal:erased-1:2025-06-01:60", "failed:erased-1:2025-05-01"
        )  # fmt: skip


def test_short_words_are_said_to_be_passed_over(run, kept) -> None:
    take_out(kept)
    told = erased(run, kept, "--also", "ab")
    assert told["notes"] == ["Too short to be looked for in notes: 'ab'; read them"]


def test_what_is_known_is_shown(run, kept) -> None:
    file = kept.folder / "known.json"
    shown = run("export-account", ACCOUNT, "-c", kept.config, "--out", file, "--json").answer
    assert shown["counts"]["scores"] == 2
    assert shown["counts"]["table accounts"] == 1
    known = json.loads(file.read_text("utf-8"))
    assert {row["account_id"] for row in known["scores"]} == {ACCOUNT}
    assert [one["note"] for one in known["calls"]] == ["Spoke to Eve"]
    assert known["overrides"][0]["reason"] == "Eve leaves soon"
    assert [one["experiment"] for one in known["experiments"]] == ["calls"]
    assert known["digests"][0]["told"] == [f"entered:{ACCOUNT}:2025-05-01"]
    assert OTHER not in file.read_text("utf-8")
    assert file.stat().st_mode & 0o077 == 0


def test_a_person_is_erased_from_records_users_and_tokens(run, kept) -> None:
    users = kept.folder / "users.toml"
    users.write_text('[users.Ben]\nrole = "viewer"\n[users.ann]\nrole = "viewer"\n', "utf-8")
    made = run("token", "add", "ben", "-c", kept.config, "--json").answer
    assert made["user"] == "Ben"
    told = erased(run, kept, "--person", "--also", "Eve", account="ben", code=0)
    stone = told["tombstone"]
    assert (told["places"]["users"], told["places"]["tokens"]) == (1, 1)
    assert [one.by for one in call_book(kept.folder).entries()] == [stone, "ann"]
    assert [one.by for one in override_book(kept.folder).entries()] == [stone]
    (draw,) = Ledger(kept.folder / "experiments.jsonl").draws()
    assert {one.owner for one in draw.assignments} == {stone}
    assert run("user", "list", "-c", kept.config, "--json").answer["users"][0]["name"] == "ann"
    assert run("token", "list", "-c", kept.config, "--json").answer["tokens"] == []


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("nobody", "--yes"), 3, "Nothing is known of the account 'nobody'; correct the name"),
        (("x", "--person", "--yes"), 3, "Nothing is known of the person 'x'; correct the name"),
        (("x",), 2, "Nothing brings back what is erased, and nobody can be asked here"),
        (("x", "--person", "--block"), 2, "--block is about accounts of the tables"),
    ],
)
def test_what_cannot_be_erased_is_a_sentence(run, kept, arguments, code, says) -> None:
    ran = run("erase", *arguments, "-c", kept.config)
    assert ran.code == code
    assert ran.sentence.startswith(says)


def test_a_record_that_was_changed_stops_it(run, kept) -> None:
    take_out(kept)
    calls = kept.folder / "calls.jsonl"
    calls.write_text(calls.read_text("utf-8").replace("Spoke", "Wrote"), "utf-8")
    ran = run("erase", ACCOUNT, "-c", kept.config, "--yes")
    assert ran.code == 6
    assert "is not as it was written" in ran.sentence


DYING = """
import os, signal
real, left = os.replace, [{number}]
def dying(*given, **told):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*given, **told)
os.replace = dying
"""


def test_killed_at_any_file_it_is_taken_up_again(run, spawned, kept, name) -> None:
    take_out(kept)
    command = ("erase", ACCOUNT, "-c", kept.config, "--yes", "--json", "--also", name)
    kills, ended = 0, False
    while not ended:
        # Each time it is killed two files later.
        ran = spawned(*command, before=DYING.format(number=1 + 2 * kills))
        ended = ran.code == 0
        kills += not ended
        assert kills < 12
        assert run("verify-store", "-c", kept.config, "--json").answer["same"]
    assert kills >= 2
    assert holding(kept.folder, ACCOUNT, name) == []
    begun, done = erased_book(kept.folder).entries()
    assert begun.tombstone == done.tombstone
    assert [begun.state, done.state] == ["begun", "done"]


def test_a_word_that_everybody_uses_is_left_in_the_notes_of_others(run, kept) -> None:
    calls = call_book(kept.folder)
    notes = ["Networks are down again", "see A-00042", "nothing"]
    calls.record(
        call_entry(OTHER, "called", by="ann", moment=MOMENT, note=note, key=str(number))
        for number, note in enumerate(notes)
    )
    take_out(kept)
    subject = Subject("account", ACCOUNT, ("Networks", "plan"), "erased-1")
    assert (
        subject.without("the plan of Networks and A-00042") == "the plan of Networks and erased-1"
    )
    assert subject.doubtful_in("A PLAN for networks") == ["PLAN", "networks"]
    # Said to be its own, it is.
    said = replace(subject, certain=("Networks",))
    assert said.without("the plan of Networks") == "the plan of erased-1"
    before = calls.path.read_bytes()
    rehearsed = run("erase", ACCOUNT, "-c", kept.config, "--dry-run", "--json").answer
    assert rehearsed["texts"] == [f"{OTHER}, 2025-05-01: see A-00042"]
    assert "Would change these notes about others:" in rehearsed["said"]
    assert calls.path.read_bytes() == before
    told = erased(run, kept, "--also", "Networks")
    assert told["texts"] == [
        f"{OTHER}, 2025-05-01: Networks are down again",
        f"{OTHER}, 2025-05-01: see A-00042",
    ]


@pytest.mark.parametrize("word", ["plan", "Networks"])
def test_an_account_whose_id_is_a_word_is_erased_and_the_word_stays(run, kept, word) -> None:
    moment = MOMENT
    calls = call_book(kept.folder)
    calls.record(
        [
            call_entry(word, "called", by="ben", moment=moment, note="theirs", key="w1"),
            call_entry(OTHER, "called", by="ann", moment=moment, note=f"No {word} yet", key="w2"),
        ]
    )
    told = erased(run, kept, account=word)
    assert (told["whole"], told["left"], told["texts"]) == (True, [], [])
    assert told["doubtful"] == [f"{OTHER}, 2025-05-01: No {word} yet ('{word}')"]
    assert any(line.startswith("These notes hold a word that everybody") for line in told["said"])
    entries = calls.entries()
    assert [one.account_id for one in entries[-2:]] == [told["tombstone"], OTHER]
    assert entries[-1].note == f"No {word} yet"


def test_a_store_that_is_held_says_what_to_do(run, kept, monkeypatch) -> None:
    take_out(kept)
    real, said = module.open_store, "The score store 'x' is held by another job; wait for it to end"

    def held(project, *, read_only):
        if read_only:
            return real(project, read_only=True)
        raise StoreError(said)

    monkeypatch.setattr(module, "open_store", held)
    ran = run("erase", ACCOUNT, "-c", kept.config, "--yes")
    assert ran.code == 6
    assert ran.sentence == (
        f"The erasure was begun and is not done: {said}; then say the same again, and it goes on"
    )
    monkeypatch.setattr(module, "open_store", real)
    assert erased(run, kept)["whole"]
