"""Objects in JSON: lists, folders of daily files, and fields of objects within a row."""

from __future__ import annotations

import json
from pathlib import Path

from features.sources.opening import open_source


def test_a_list_is_a_table_and_a_setting_is_none(tmp_path: Path) -> None:
    (tmp_path / "companies.json").write_text(json.dumps([{"id": "a", "n": 1}, {"id": "b", "n": 2}]))
    (tmp_path / "package.json").write_text(json.dumps({"name": "x", "version": 1}))
    with open_source(str(tmp_path), tmp_path) as source:
        assert list(source.tables) == ["companies"]
        rows = source.tables["companies"].select("id", "n").to_pyarrow().to_pylist()
        assert rows == [{"id": "a", "n": 1}, {"id": "b", "n": 2}]
        assert source.unread == ("package.json",)


def test_a_folder_of_daily_files_is_one_table(tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text("id\n7\n")
    (tmp_path / "events").mkdir()
    for day in (1, 2, 3):
        line = json.dumps({"event": "open", "ts": day}) + "\n"
        (tmp_path / "events" / f"2024-01-0{day}.jsonl").write_text(line * day)
    with open_source(str(tmp_path), tmp_path) as source:
        assert sorted(source.tables) == ["events", "plain"]
        assert int(source.tables["events"].count().execute()) == 6
        assert source.unread == ()


def test_fields_of_objects_are_columns_called_by_their_own_names(tmp_path: Path) -> None:
    row = {"id": 1, "traits": {"plan": "pro", "id": "t", "address": {"country": "DE"}}, "tags": [1]}
    (tmp_path / "rows.json").write_text(json.dumps([row, {"id": 2, "traits": None}]))
    with open_source(str(tmp_path), tmp_path) as source:
        read = source.tables["rows"].to_pyarrow().to_pylist()[0]
    assert (read["plan"], read["country"], read["traits_id"]) == ("pro", "DE", "t")
    # What a tool's own layout reads stays as it was.
    assert json.loads(read["traits"]) == row["traits"]
    assert json.loads(read["tags"]) == [1]


def test_fields_may_be_called_anything(tmp_path: Path) -> None:
    names = ("a.b", '"', "*", "$x", "a\\b", "0", "~", "t~1/u", "[0]", "'); drop table rows --")
    row = {"": 0} | {name: n for n, name in enumerate(names)}
    row["p"] = {"": 0} | {f"{name}?": n for n, name in enumerate(names)}
    (tmp_path / "rows.jsonl").write_text(f"{json.dumps(row)}\n{json.dumps(row)}\n")
    with open_source(str(tmp_path), tmp_path) as source:
        (read, _) = source.tables["rows"].to_pyarrow().to_pylist()
    assert [read[name] for name in names] == list(range(len(names)))
    assert [read[f"{name}?"] for name in names] == list(range(len(names)))
    assert "" not in read


def test_a_list_after_a_mark_of_its_encoding_is_read_by_its_objects(tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text("id\n7\n")
    (tmp_path / "rows").mkdir()
    for day, encoding in ((1, "utf-8-sig"), (2, "utf-8")):
        text = json.dumps([{"id": day}, {"id": 2 * day}])
        (tmp_path / "rows" / f"2024-01-0{day}.json").write_text(text, encoding=encoding)
    with open_source(str(tmp_path), tmp_path) as source:
        rows = source.tables["rows"].select("id").order_by("id").to_pyarrow().to_pylist()
    assert [row["id"] for row in rows] == [1, 2, 2, 4]
