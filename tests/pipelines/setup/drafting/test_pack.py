"""Packs of one's own: drafted from samples, tried on them, and what is wrong with them told."""

from __future__ import annotations

import tomllib

import pytest

from features.packs.pack import read_pack

CASES = "case_no,client,opened,closed,priority,state\nT1,A,2024-01-01,2024-01-03,high,ok\n" + (
    "T2,A,2024-01-02,,low,spam\nT3,B,2024-01-02,,low,ok\n"
)


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "tickets.csv").write_text(CASES.replace("case_no", "case_id"))
    (folder / "weather.csv").write_text("day,rain\n2024-01-01,3\n")
    return folder


def test_a_pack_is_drafted_with_its_doubts_and_tried(data, tmp_path, run) -> None:
    options = ("--folder", tmp_path, "--json")
    ran = run("layout", "new", "acme", data, "tickets", "weather", *options)
    assert ran.code == 0
    assert ran.answer["doubts"] == [
        "tickets: no column looks like account_id",
        "weather: fits no table of the contract",
    ]
    file = tmp_path / "acme.toml"
    text = file.read_text()
    assert '# check: account_id = "?", which is required' in text
    assert tomllib.loads(text)["inputs"]["tickets"]["today_only"] == ["state"]
    assert run("layout", "new", "acme", data, "tickets", *options).code == 2
    text = text.replace("# check: rows that are no business, such as", "#")
    text = text.replace('\n[tables.tickets.columns]\n', "keep = [\"state != 'spam'\"]\n\n"
                        '[tables.tickets.columns]\naccount_id = "client"\n')  # fmt: skip
    file.write_text(text)
    assert read_pack(file).vendor == "acme"
    tried = run("layout", "test", file, data, "--json").answer["tables"]["tickets"]
    assert tried["rows"] == 2
    assert tried["left_out"] == {"state != 'spam'": 1}
    assert tried["examples"][0]["ticket_id"] == "T1"
    out = run("layout", "test", file, data).out
    assert "tickets: 2 rows" in out
    assert "1 left out by state != 'spam'" in out


def test_what_is_not_there_is_named(data, tmp_path, run) -> None:
    ran = run("layout", "new", "acme", data, "cases", "--folder", tmp_path)
    assert ran.code == 2
    assert "has no table 'cases'; it holds 'tickets', 'weather'" in ran.err
    ran = run("layout", "test", tmp_path / "none.toml", data)
    assert ran.code == 2
    assert "cannot be read: No such file or directory" in ran.err


def test_amounts_that_may_be_cents_are_doubted(data, tmp_path, run) -> None:
    (data / "bills.csv").write_text("id,client,at,due,total\n1,A,2024-01-01,2024-01-02,1250000\n")
    (tmp_path / "acme.toml").write_text(
        'title = "Acme"\nvendor = "acme"\nkind = "billing"\n[inputs.bills]\nnames = ["bills"]\n'
        'has = ["id", "total"]\n[tables.invoices]\nfrom = "bills"\n[tables.invoices.columns]\n'
        'account_id = "client"\nissued_at = "time(at)"\ndue_at = "time(due)"\namount = "total"\n'
    )
    out = run("layout", "test", tmp_path / "acme.toml", data).out
    assert "median amount 1,250,000.00: cents?" in out
