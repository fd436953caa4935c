"""Columns of accounts that are called as a column of the feature table."""

from __future__ import annotations

from pathlib import Path

from pipelines.project.company import open_company
from pipelines.project.project import load_project
from pipelines.setup.draft import write_draft


def test_an_attribute_called_segment_is_read_under_another_name(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    people = "".join(f"C{n},2023-01-0{n % 9 + 1},{'smb' if n % 2 else 'big'}\n" for n in range(20))
    (data / "customers.csv").write_text(f"customer_id,signup_date,segment\n{people}")
    contracts = "".join(f"C{n},2023-02-01,{'2023-09-01' if n % 3 else ''}\n" for n in range(20))
    (data / "subscriptions.csv").write_text(f"customer_id,start_date,end_date\n{contracts}")
    _, doubts = write_draft(data, tmp_path / "h.toml")
    assert (
        "customers: segment is read as account_segment, as the feature table has a column of"
        " that name"
    ) in doubts
    project = load_project(tmp_path / "h.toml")
    assert project.settings.tables.accounts.attributes == ("account_segment",)
    with open_company(project) as company:
        rows = company.tables["accounts"].cleaned.to_pandas()
    assert rows.account_segment.value_counts().to_dict() == {"smb": 10, "big": 10}


def test_a_status_in_any_language_is_known_by_who_has_left_and_is_no_attribute(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    # One in three has left, of every region.
    people = "".join(
        f"C{n:03};2023-01-{n % 9 + 1:02};{'Opgezegd' if n % 3 == 0 else 'Lopend'};R{n % 5}\n"
        for n in range(60)
    )
    (data / "customers.csv").write_text(f"customer_id;signup_date;toestand;regio\n{people}")
    contracts = "".join(f"C{n:03};2023-02-01;{'2023-09-01' * (n % 3 == 0)}\n" for n in range(60))
    (data / "subscriptions.csv").write_text(f"customer_id;start_date;end_date\n{contracts}")
    _, doubts = write_draft(data, tmp_path / "h.toml")
    assert (
        "customers: toestand says who has left, as with 'Opgezegd': it is of today and is left out"
    ) in doubts
    assert load_project(tmp_path / "h.toml").settings.tables.accounts.attributes == ("regio",)


def test_an_object_is_no_attribute_and_a_word_in_brackets_is(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    rows = "".join(
        f'C{n:03};2023-01-02;[/bold]{"ab"[n % 2]};"{{""k"": {n % 2}}}"\n' for n in range(30)
    )
    (data / "customers.csv").write_text(f"customer_id;signup_date;tier;traits\n{rows}")
    gone = "".join(f"C{n:03};2023-09-01\n" for n in range(0, 30, 3))
    (data / "churn_events.csv").write_text(f"customer_id;churned_at\n{gone}")
    write_draft(data, tmp_path / "h.toml")
    assert load_project(tmp_path / "h.toml").settings.tables.accounts.attributes == ("tier",)


def test_what_was_counted_until_today_is_no_attribute(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    counted = ("users_seen", "total_logins", "lifetime_orders", "active_users", "num_members")
    told = ("employees", "number_of_employees", "seats")
    rows = "".join(f"C{n:03};2023-01-02" + f";{n}" * 8 + "\n" for n in range(30))
    header = ";".join(("customer_id", "signup_date", *counted, *told))
    (data / "customers.csv").write_text(f"{header}\n{rows}")
    gone = "".join(f"C{n:03};2023-09-01\n" for n in range(0, 30, 3))
    (data / "churn_events.csv").write_text(f"customer_id;churned_at\n{gone}")
    write_draft(data, tmp_path / "h.toml")
    attributes = load_project(tmp_path / "h.toml").settings.tables.accounts.attributes
    assert not set(attributes) & set(counted)
    assert {"employees", "number_of_employees"} <= set(attributes)
