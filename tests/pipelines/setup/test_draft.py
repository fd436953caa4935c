"""``healthscore init``: a stranger's folder becomes a configuration that loads."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import duckdb
import ibis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.sources.source import About
from pipelines.project.project import load_project
from pipelines.setup.draft import draft, write_draft
from pipelines.setup.drafting.attributes import attributes_of
from pipelines.setup.guessing.columns import guess_table
from pipelines.setup.guessing.names import OUTCOME_WORDS, SENSITIVE_WORDS
from tests.costly import costly

MINIMAL = {
    "accounts": "account_id,created_at\nA1,2024-01-01\n",
    "subscriptions": "account_id,started_at,ended_at\nA1,2024-01-01,\n",
}


@pytest.fixture
def folder(tmp_path: Path):
    def write(tables: dict[str, str]) -> Path:
        data = tmp_path / "data"
        data.mkdir(exist_ok=True)
        for name, text in tables.items():
            (data / f"{name}.csv").write_text(text, encoding="utf-8")
        return data

    return write


def test_the_simulated_company_is_mapped_whole(simulated, tmp_path, run) -> None:
    config = tmp_path / "healthscore.toml"
    ran = run("init", simulated, "-c", config)
    assert ran.code == 0
    assert ran.out == f"Wrote {config}; read it, then run: healthscore check -c {config}\n"
    tables = load_project(config).settings.tables
    assert set(tables.mapped()) == {path.stem for path in simulated.glob("*.parquet")}
    assert tables.accounts.attributes == ("plan", "industry", "region", "company_size")
    for mapping in tables.mapped().values():
        assert all(name == origin for name, origin in mapping.columns.items())
    assert load_project(config).settings.segments.columns == ("plan",)


def test_csv_files_and_a_duckdb_file_are_drafted_alike(simulated, tmp_path, run) -> None:
    csv, database = tmp_path / "csv", tmp_path / "company.duckdb"
    csv.mkdir()
    with duckdb.connect(str(database)) as connection:
        for file in sorted(simulated.glob("*.parquet")):
            connection.execute(f"create table {file.stem} as select * from '{file}' limit 500")
            connection.execute(f"copy {file.stem} to '{csv / file.stem}.csv' (header)")
    texts = []
    for source in (simulated, csv, database):
        config = tmp_path / f"{source.stem}.toml"
        assert run("init", source, "-c", config, "--json").answer["doubts"] == []
        mapped = load_project(config).settings.tables
        texts.append(mapped.model_dump())
        if source == database:
            assert run("check", "-c", config).code == 0
    assert texts[0] == texts[1] == texts[2]


def test_tables_and_columns_of_other_names_are_found(folder, tmp_path, run) -> None:
    data = folder(
        {
            "Customers": "Customer ID,Signup Date,Company,Plan\nA1,2024-01-01,Acme,pro\n",
            "contracts": "subscription_id,customer_id,start,cancelled_at,MRR\n"
            "S1,A1,2024-01-01,,9\n",
            "logins": "subscription_id,timestamp,action\nS1,2024-02-01,open\n",
            "weather": "day,rain\n2024-01-01,3\n",
        }
    )
    answer = run("init", data, "-c", tmp_path / "h.toml", "--json").answer
    tables = load_project(tmp_path / "h.toml").settings.tables
    assert tables.accounts.source == "Customers"
    assert tables.accounts.columns == {
        "account_id": "Customer ID",
        "created_at": "Signup Date",
        "name": "Company",
    }
    assert tables.subscriptions.columns["ended_at"] == "cancelled_at"
    assert tables.subscriptions.columns["started_at"] == "start"
    assert tables.usage_events.source == "logins"
    via = tables.usage_events.account_via
    assert (via.table, via.key, via.account_id) == ("contracts", "subscription_id", "customer_id")
    assert answer["doubts"] == ["Tables that fit nothing: 'weather'"]
    assert "# Not mapped: weather" in answer["text"]
    assert run("check", "-c", tmp_path / "h.toml").code == 0


@pytest.mark.parametrize(
    "spelling",
    ["tap_crm__{}", "stg_app_{}", "{}_2024-05-01", "Export {} (1)", "{}-2024-05", "dim_{}"],
)
def test_words_of_loaders_around_a_name_are_no_obstacle(folder, tmp_path, spelling) -> None:
    data = folder({spelling.format(name): text for name, text in MINIMAL.items()})
    _, doubts = write_draft(data, tmp_path / "h.toml")
    assert doubts == []
    tables = load_project(tmp_path / "h.toml").settings.tables
    assert tables.subscriptions.source == spelling.format("subscriptions")


def test_a_name_that_two_tables_end_with_is_nobodys(folder, tmp_path, run) -> None:
    tables = {"accounts": MINIMAL["accounts"]}
    tables |= {f"{name}_subscriptions": MINIMAL["subscriptions"] for name in ("old", "new")}
    answer = run("init", folder(tables), "-c", tmp_path / "h.toml", "--json").answer
    assert "Tables that fit nothing: 'new_subscriptions', 'old_subscriptions'" in answer["doubts"]


def test_values_in_json_are_columns(folder, tmp_path, run) -> None:
    rows = [
        {"account_id": f"A{n}", "created_at": f"2024-01-0{n}", "tags": {"x": n}} for n in (1, 2)
    ]
    lines = ["7,not json", *(f"{n},{_cell(json.dumps(row))}" for n, row in enumerate(rows))]
    raw = {"raw_accounts": "\n".join(["_airbyte_ab_id,_airbyte_data", *lines[1:]]) + "\n"}
    tables = {**MINIMAL, **raw}
    del tables["accounts"]
    assert run("init", folder(tables), "-c", tmp_path / "h.toml", "--json").answer["doubts"] == []
    settings = load_project(tmp_path / "h.toml").settings.tables
    assert settings.accounts.source == "raw_accounts"
    assert run("check", "-c", tmp_path / "h.toml").code == 0
    folder({"raw_accounts": "\n".join(["_airbyte_ab_id,_airbyte_data", *lines]) + "\n"})
    ran = run("check", "-c", tmp_path / "h.toml")
    assert ran.code == 3
    assert "and 1 rows, such as 'not json', are none; mend them" in ran.sentence


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


@pytest.mark.parametrize(
    ("end", "read"),
    [("12/31/2099", ""), ("ongoing", ""), ("n.a.", ""), ("20240301", "ended_at")],
)
def test_ends_are_found_however_they_are_written(folder, tmp_path, end, read) -> None:
    plain = "20240201" if read else ("01/31/2024" if "/" in end else "2024-01-31")
    start = "20240101" if read else ("01/13/2024" if "/" in end else "2024-01-01")
    terms = f"account_id,started_at,ended_at\nA1,{start},{plain}\nA1,{start},{end}\n"
    if read:
        terms += f"A1,{start},\n"
    write_draft(folder({**MINIMAL, "subscriptions": terms}), tmp_path / "h.toml")
    columns = load_project(tmp_path / "h.toml").settings.tables.subscriptions.columns
    assert columns["ended_at"] == "ended_at"
    assert "renewal_at" not in columns


BECAME = {
    "churn_flag Churned Exited is_active attrition": "0,1,0",
    "Customer_Status customerStatus lost_reason": "a,b,a",
    "health_score RiskLevel retained renewed_flag": "1,2,3",
    "end_reason LeftBecause deactivated_by": "a,b,c",
}


def test_what_an_account_became_is_no_attribute(folder, tmp_path) -> None:
    columns = {
        name.replace("_S", " S"): values.split(",")
        for names, values in BECAME.items()
        for name in names.split()
    }
    lines = [f"account_id,created_at,region,{','.join(columns)}"]
    for place, account in enumerate(("A1", "A2", "A3")):
        cells = (values[place] for values in columns.values())
        lines.append(f"{account},2024-01-01,north,{','.join(cells)}")
    accounts = "\n".join(lines) + "\n"
    text, _ = write_draft(folder({**MINIMAL, "accounts": accounts}), tmp_path / "h.toml")
    assert load_project(tmp_path / "h.toml").settings.tables.accounts.attributes == ("region",)
    (told,) = (line for line in text.splitlines() if "left out, as outcome, free text" in line)
    assert told.rpartition(": ")[2].split(", ") == list(columns)


def test_who_looks_after_an_account_is_named_for_the_panel(folder, tmp_path) -> None:
    accounts = "account_id,created_at,sales_rep,Account Manager\nA1,2024-01-01,x,Li\n"
    text, _ = write_draft(folder({**MINIMAL, "accounts": accounts}), tmp_path / "h.toml")
    settings = load_project(tmp_path / "h.toml").settings
    assert (settings.serve.owner, settings.tables.accounts.attributes) == ("Account Manager", ())
    assert "left out, as outcome, free text or date: sales_rep\n" in text


def test_what_must_not_be_an_input_is_listed_as_sensitive(folder, tmp_path, run) -> None:
    columns = ("gender", "SeniorCitizen", "Age", "date_of_birth", "Marital Status", "ethnicity")
    text = f"account_id,created_at,{','.join(columns)}\n"
    text += "".join(f"A{n},2024-01-01{f',{n}x' * len(columns)}\n" for n in (1, 2))
    run("init", folder({**MINIMAL, "accounts": text}), "-c", tmp_path / "h.toml", "--json").answer  # noqa: B018
    drafted = load_project(tmp_path / "h.toml").settings
    assert drafted.signals.sensitive == drafted.tables.accounts.attributes == columns
    assert run("check", "-c", tmp_path / "h.toml").code == 0


def test_harmless_names_are_neither() -> None:
    for name in ("usage", "package", "industry", "region", "company_size", "trend", "vendor"):
        assert not SENSITIVE_WORDS.search(name)
        assert not OUTCOME_WORDS.search(name)


def test_an_existing_file_stays_unless_forced(folder, tmp_path, run) -> None:
    data, config = folder(MINIMAL), tmp_path / "h.toml"
    config.write_text("# mine", encoding="utf-8")
    ran = run("init", data, "-c", config)
    assert (ran.code, ran.sentence) == (
        2,
        f"The configuration '{config}' exists already; pass --force to replace it or name another"
        " with -c",
    )
    assert config.read_text(encoding="utf-8") == "# mine"
    assert run("init", data, "-c", config, "--force").code == 0
    assert "[tables.accounts]" in config.read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "h.toml"]


def test_a_folder_without_accounts_is_refused(folder, tmp_path, run) -> None:
    ran = run("init", folder({"weather": "day,rain\n2024-01-01,3\n"}), "-c", tmp_path / "h.toml")
    assert ran.code == 2
    assert "looks like accounts (it holds 'weather'); name one file accounts; '" in ran.sentence
    assert ran.sentence.endswith("h.toml' lists the columns to fill in")
    assert "# weather: day, rain" in (tmp_path / "h.toml").read_text()


def test_an_empty_folder_and_none_are_refused(tmp_path, run) -> None:
    (tmp_path / "empty").mkdir()
    ran = run("init", tmp_path / "empty", "-c", tmp_path / "h.toml")
    assert ran.code == 3
    assert ran.sentence.endswith("holds no Parquet or CSV file; correct source.url")
    ran = run("init", tmp_path / "nowhere", "-c", tmp_path / "h.toml")
    assert ran.code == 3
    assert "is neither a folder, a workbook or archive nor a DuckDB file" in ran.sentence
    assert not (tmp_path / "h.toml").exists()


def test_a_place_that_cannot_be_written_is_named(folder, tmp_path, run) -> None:
    ran = run("init", folder(MINIMAL), "-c", tmp_path / "nowhere" / "h.toml")
    assert ran.code == 1
    assert "No such file or directory" in ran.sentence
    assert ran.sentence.endswith("check the path and its permissions")


def test_a_table_without_what_it_needs_is_left_as_a_comment(folder, tmp_path, run) -> None:
    data = folder({**MINIMAL, "tickets": "account_id,colour\nA1,red\n"})
    answer = run("init", data, "-c", tmp_path / "h.toml", "--json").answer
    assert answer["doubts"] == ["tickets has no column that looks like opened_at"]
    assert "# [tables.tickets]" in answer["text"]
    assert run("check", "-c", tmp_path / "h.toml").code == 0


def test_accounts_without_what_they_need_are_answered_by_the_next_command(
    folder, tmp_path, run
) -> None:
    lost = "created_at"
    text = "account_id,zzz,region\nA1,soon,north\n"
    gone = "account_id,churned_at\nA1,2024-03-01\n"
    data = folder({"accounts": text, "churn_events": gone})
    answer = run("init", data, "-c", tmp_path / "h.toml", "--json")
    assert answer.answer["doubts"] == [f"accounts has no column that looks like {lost}"]
    ran = run("check", "-c", tmp_path / "h.toml")
    assert ran.code == 3
    assert f"Table 'accounts' has no column '{lost}'" in ran.sentence


def test_without_any_outcome_the_doubt_comes_first(folder, tmp_path, run) -> None:
    data = folder({"accounts": MINIMAL["accounts"]})
    answer = run("init", data, "-c", tmp_path / "h.toml", "--json").answer
    assert answer["doubts"] == [
        "No table tells of churn: map subscriptions (with ended_at), churn_events or labels"
    ]
    ran = run("check", "-c", tmp_path / "h.toml")
    assert ran.code == 2
    assert "[tables] needs one source of outcomes" in ran.sentence


class Columns:
    """A source of one accounts table, whose other columns have any name at all."""

    url = "anywhere"
    unread = ()

    def __init__(self, tables) -> None:
        self.tables = tables

    def about(self, _name: str) -> About:
        return About()


# Anything the engine can hold as a name.
NAMES = st.text(st.characters(exclude_categories=["Cs"], min_codepoint=1), min_size=1, max_size=80)


# A draft takes long, whatever the number of names in it.
@costly(6, shrinks=True)
@given(names=st.lists(NAMES, max_size=20, unique_by=str.casefold), url=NAMES, table=NAMES)
def test_any_draft_loads(tmp_path: Path, names: list[str], url: str, table: str) -> None:
    reserved = {"account_id", "created_at", "started_at"}
    names = [name for name in names if name.casefold() not in reserved]
    accounts = {
        "account_id": ["A"],
        "created_at": ["2024-01-01"],
        **{name: ["x"] for name in names},
    }
    tables = {
        "accounts": ibis.memtable(accounts),
        "subscriptions": ibis.memtable({"account_id": ["A"], "started_at": ["2024-01-01"]}),
    }
    if table.casefold() not in tables:
        tables[table] = ibis.memtable({"zzz": [1]})
    text, _ = draft(Columns(tables), url, table)
    path = tmp_path / "healthscore.toml"
    path.write_text(text, encoding="utf-8", newline="")
    drafted = load_project(path).settings
    assert (drafted.source.url, drafted.registry.folder) == (url, table)
    guess = guess_table("accounts", "accounts", Columns(tables))
    attributes, sensitive, _ = attributes_of(guess, tables["accounts"])
    assert drafted.tables.accounts.attributes == tuple(attributes)
    assert drafted.signals.sensitive == tuple(sensitive)
    assert tomllib.loads(text)["tables"]["accounts"]["from"] == "accounts"


def test_the_path_is_relative_to_the_file(folder, tmp_path) -> None:
    data = folder(MINIMAL)
    config = tmp_path / "settings" / "deep" / "h.toml"
    config.parent.mkdir(parents=True)
    write_draft(data, config, registry=tmp_path / "models")
    project = load_project(config)
    assert project.settings.source.url == "../../data"
    assert project.registry_folder.resolve() == tmp_path / "models"


def test_the_further_outcomes_that_are_shown_load_when_uncommented(folder, tmp_path) -> None:
    config = tmp_path / "h.toml"
    text, _ = write_draft(folder(MINIMAL), config)
    start = text.index("# [outcomes.growth]")
    end = text.index("\n[signals]", start)
    shown = "".join(line.removeprefix("# ") for line in text[start:end].splitlines(keepends=True))
    config.write_text(text[:start] + shown + text[end:], encoding="utf-8")
    outcomes = load_project(config).settings.outcomes
    assert {name: outcome.kind for name, outcome in outcomes.items()} == {
        "growth": "expansion",
        "rollout": "adoption",
        "renewal": "label",
    }
    assert outcomes["growth"].lead_days == 14
    assert all(outcome.is_good for outcome in outcomes.values())


LABELS = {"labels": "account_id,as_of,renewed\nA1,2024-02-01,1\n"}


def test_labels_alone_are_what_is_foretold(folder, tmp_path) -> None:
    data = folder({"accounts": MINIMAL["accounts"], **LABELS})
    _, doubts = write_draft(data, tmp_path / "h.toml")
    settings = load_project(tmp_path / "h.toml").settings
    assert doubts == []
    assert (settings.outcome.kind, settings.outcome.good) == ("label", False)
    assert settings.tables.labels.columns["observed_at"] == "as_of"
    assert settings.tables.labels.columns["happened"] == "renewed"


def test_labels_without_dates_beside_dated_tables_are_left_as_a_comment(folder, tmp_path) -> None:
    undated = {"labels": "account_id,renewed\nA1,1\n"}
    _, doubts = write_draft(folder({**MINIMAL, **undated}), tmp_path / "h.toml")
    settings = load_project(tmp_path / "h.toml").settings
    assert doubts == ["labels has no column that looks like observed_at"]
    assert (settings.outcome.kind, settings.tables.labels) == ("churn", None)


def test_a_draft_that_lacks_tables_says_which_and_why(folder, tmp_path, run) -> None:
    data = folder({**MINIMAL, "subscriptions": "account_id,started_at,ended_at\nA1,soon,\n"})
    assert run("init", data, "-c", tmp_path / "h.toml").code == 0
    ran = run("check", "-c", tmp_path / "h.toml")
    assert ran.code == 2
    assert (
        "(the draft left subscriptions out, as no column looks like started_at: fill in the lines"
        " that begin with '# ')"
    ) in ran.err
