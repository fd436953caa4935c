"""The ledger of assignments: whole lines or none, and no change goes unnoticed."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from features.errors import StoreError
from pipelines.plays.experiment.ledger import Assignment, Draw, Ledger, owners_of_both

DRAW = Draw(
    experiment="call",
    as_of=date(2025, 3, 1),
    drawn_at=datetime(2025, 3, 2, 8, tzinfo=UTC),
    model_version="3",
    share=0.2,
    seed=12,
    assignments=(
        Assignment("=1+1\n\u202e<b>", True, "plan=pro 1", 0.25, None),
        Assignment("B", False, "plan=pro 2", 0.5, "Ana"),
    ),
)


def written(path: Path, number: int = 3, key: bytes | None = None) -> Ledger:
    ledger = Ledger(path, key)
    for place in range(number):
        with ledger.adding():
            ledger.add(replace(DRAW, seed=place, experiment=("call", "visit")[place % 2]))
    return ledger


def test_what_was_drawn_is_read_again(tmp_path: Path) -> None:
    ledger = written(tmp_path / "e.jsonl")
    assert [draw.seed for draw in ledger.draws()] == [0, 1, 2]
    assert ledger.draws("visit") == [replace(DRAW, seed=1, experiment="visit")]
    assert Ledger(tmp_path / "absent.jsonl").draws() == []


@pytest.mark.parametrize("line", [1, 2, 3])
def test_a_changed_line_is_noticed(tmp_path: Path, line: int) -> None:
    ledger = written(tmp_path / "e.jsonl")
    lines = ledger.path.read_text("utf-8").splitlines()
    entry = json.loads(lines[line - 1])
    entry["assignments"][0]["left_alone"] = False
    lines[line - 1] = json.dumps(entry)
    ledger.path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(StoreError, match=f"Line {line} of the ledger .* is not as it was written"):
        ledger.draws()


def test_every_byte_counts(tmp_path: Path) -> None:
    ledger = written(tmp_path / "e.jsonl", 2)
    whole = ledger.path.read_bytes()
    for place in range(0, len(whole), 7):
        ledger.path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            draws = ledger.draws()
        except StoreError:
            continue
        # Only the line's own end may go: what follows was then never written.
        assert draws == [replace(DRAW, seed=0)][: len(draws)]
        assert whole[place] == ord("\n") or place > whole.rfind(b"\n", 0, -1)


def test_a_line_taken_out_or_put_in_is_noticed(tmp_path: Path) -> None:
    ledger = written(tmp_path / "e.jsonl")
    lines = ledger.path.read_text("utf-8").splitlines(keepends=True)
    for changed in (lines[1:], [lines[0], lines[2]], [lines[0], *lines]):
        ledger.path.write_text("".join(changed), encoding="utf-8")
        with pytest.raises(StoreError, match="is not as it was written"):
            ledger.draws()


def test_a_line_without_its_end_was_never_written(tmp_path: Path) -> None:
    ledger = written(tmp_path / "e.jsonl", 1)
    with ledger.path.open("ab") as file:
        file.write(b'{"form": 1, "before": "half a li')
    assert len(ledger.draws()) == 1
    with ledger.adding():
        ledger.add(replace(DRAW, seed=9))
    assert [draw.seed for draw in ledger.draws()] == [0, 9]


def test_without_the_key_nobody_writes_a_line(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    written(path, 2, key=b"secret")
    assert len(Ledger(path, b"secret").draws()) == 2
    for key in (None, b"other"):
        with pytest.raises(StoreError, match="or its key is another"):
            Ledger(path, key).draws()


def test_a_later_form_is_left_alone(tmp_path: Path) -> None:
    ledger = written(tmp_path / "e.jsonl", 1)
    entry = json.loads(ledger.path.read_text("utf-8")) | {"form": 2}
    ledger.path.write_text(json.dumps(entry) + "\n", encoding="utf-8")
    with pytest.raises(StoreError, match="is of form 2, and this version reads form 1"):
        ledger.draws()


def test_an_unwritable_folder_is_one_sentence(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "absent" / "e.jsonl")
    with pytest.raises(StoreError, match="cannot be written: No such file"), ledger.adding():
        pass


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    def add(seed: int) -> None:
        ledger = Ledger(tmp_path / "e.jsonl")
        with ledger.adding():
            ledger.add(replace(DRAW, seed=seed))

    threads = [threading.Thread(target=add, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    draws = Ledger(tmp_path / "e.jsonl").draws()
    assert sorted(draw.seed for draw in draws) == list(range(8))


def test_owners_of_both_arms_are_counted() -> None:
    arms = [("Ana", True), ("Ana", False), ("Ben", True), (None, True), (None, False)]
    rows = [Assignment(str(n), alone, "", 0.1, owner) for n, (owner, alone) in enumerate(arms)]
    assert owners_of_both(rows) == 1
