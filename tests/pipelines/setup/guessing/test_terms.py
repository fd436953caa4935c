"""``init`` where each term has a row of its own, and where surveys are of one kind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from features.outcomes.churned import churn_dates
from features.sources.opening import open_source
from pipelines.project.company import open_company
from pipelines.project.project import load_project
from pipelines.setup.draft import write_draft
from pipelines.setup.guessing.columns import guess_table
from pipelines.setup.guessing.unsaid import tell_kind_of_survey

ACCOUNTS, YEARS = 24, 3
Form = Callable[[date], str]


def german(day: date) -> str:
    return f"{day:%d.%m.%Y}"


def drafted(folder: Path, tables: dict[str, list[list[Any]]]) -> tuple[Any, list[str]]:
    data = folder / "data"
    data.mkdir(parents=True)
    for name, rows in tables.items():
        text = "\n".join(",".join(map(str, row)) for row in rows) + "\n"
        (data / f"{name}.csv").write_text(text, encoding="utf-8")
    _, doubts = write_draft(data, folder / "h.toml")
    return load_project(folder / "h.toml"), doubts


def company(
    form: Form, *, is_moved_on: bool = False, with_kind: bool = True
) -> dict[str, list[list[Any]]]:
    """Return accounts with a row for each year of theirs; one in three leaves in the second.

    Every fourth of the leavers goes in the middle of a term. Accounts on monthly terms have one
    row. Where ends are moved on an account has one row, whose end is moved on each year.
    """
    people: list[list[Any]] = [["customer_id", "signup_date"]]
    rows: list[list[Any]] = [["subscription", "customer_id", "start", "end", "status", "term"]]
    for n in range(ACCOUNTS):
        began, leaves = date(2020, 1 + n % 12, 1 + n), n % 3 == 0
        people.append([f"K{n}", form(began)])
        if n % 4 == 3:
            gone = form(began + timedelta(days=100 + n)) if leaves else ""
            rows.append([f"S{n}", f"K{n}", form(began), gone,
                         "cancelled" if leaves else "active", "Monthly"])  # fmt: skip
            continue
        last = 2 if leaves else YEARS
        for year in range(last):
            start, end = (began.replace(year=2020 + year + k) for k in (0, 1))
            is_last = year == last - 1
            status = ("cancelled" if leaves else "active") if is_last else "renewed"
            if leaves and is_last and n % 12 == 0:
                end = start + timedelta(days=77)
            rows.append([f"S{n}-{year}", f"K{n}", form(start), form(end), status, "Annual"])
        if is_moved_on:
            del rows[-last:-1]
            rows[-1][2] = form(began)
    if not with_kind:
        rows = [row[:-1] for row in rows]
    return {"customers": people, "subscriptions": rows}


@pytest.mark.parametrize("form", [german, date.isoformat])
def test_a_term_that_gave_way_to_the_next_is_over_and_renewed_when_such_terms_do(
    tmp_path: Path, form: Form
) -> None:
    project, doubts = drafted(tmp_path, company(form))
    with open_company(project) as opened:
        rows = opened.tables["subscriptions"].cleaned.execute()
    months = (rows["renewal_at"].dt.year - rows["started_at"].dt.year) * 12
    annual = rows["billing_period"].str.contains("(?i)annual")
    assert (months[annual] == 12).all()
    assert (rows["renewal_at"].dt.day == rows["started_at"].dt.day)[annual].all()
    assert rows.loc[~annual, "renewal_at"].isna().all()
    running = rows["ended_at"].isna()
    assert running.sum() == sum(n % 3 != 0 for n in range(ACCOUNTS))
    assert not rows.loc[running, "account_id"].duplicated().any()
    assert any("12 months where term is annual" in doubt for doubt in doubts)
    assert "'cancelled', 'renewed'" in next(iter(project.settings.views.values())).sql


def test_an_end_that_is_moved_on_says_nothing_of_terms(tmp_path: Path) -> None:
    project, doubts = drafted(tmp_path, company(date.isoformat, is_moved_on=True))
    assert not project.settings.tables.subscriptions.columns.get("renewal_at")
    assert not any("renews as long after" in doubt for doubt in doubts)


def test_terms_of_which_nobody_says_the_kind_are_not_worked_out(tmp_path: Path) -> None:
    project, _ = drafted(tmp_path, company(date.isoformat, with_kind=False))
    assert not project.settings.tables.subscriptions.columns.get("renewal_at")


def signed(name: str, head: list[str], *, stage: str = "") -> dict[str, Any]:
    """Return accounts with a term a year, of which nothing says whether it is over.

    Where there are stages, each account has an offer beside them that it did not take.
    """
    tables = company(date.isoformat)
    annual = [row for row in tables["subscriptions"][1:] if row[-1] == "Annual"]
    rows: list[list[Any]] = [[*head, *(["stage"] if stage else [])]]
    for number, (_, account, start, end, *_) in enumerate(annual):
        rows.append([number, account, start, end, *([stage] if stage else [])])
        if stage and number % 3 == 0:
            rows.append([900 + number, account, "", "", "Closed Lost"])
    return {"customers": tables["customers"], name: rows}


TERM = ["number", "customer_id", "start_date", "end_date"]


def test_who_signs_no_further_term_has_left(tmp_path: Path) -> None:
    project, doubts = drafted(tmp_path, signed("contracts", TERM))
    with open_company(project) as opened:
        rows = opened.tables["subscriptions"].cleaned.execute()
        left = churn_dates(opened, project.settings.outcome).execute()
    assert rows["ended_at"].notna().all()
    assert ((rows["renewal_at"].dt.year - rows["started_at"].dt.year) == 1).all()
    last = rows.groupby("account_id")["ended_at"].max()
    assert left.set_index("account_id")["churned_at"].to_dict() == last.to_dict()
    assert any("who signs none has left" in doubt for doubt in doubts)


@pytest.mark.parametrize("status", [None, "No renovado"])
def test_an_end_of_any_name_is_that_of_a_term_where_terms_last_whole_quarters(
    tmp_path: Path, status: str | None
) -> None:
    tables = signed("umowy", ["nr", "customer_id", "data_od", "data_do"])
    head, *rows = tables["umowy"]
    if status is not None:
        head.append("estado")
        newest = {row[1]: row[3] for row in rows}
        # Whoever stays has signed until 2023; of the others the last term was not renewed.
        for row in rows:
            is_last = row[3] == newest[row[1]]
            said = "Renovado" if not is_last else status if row[3] < "2023" else "Vigente"
            row.append(said)
    project, doubts = drafted(tmp_path, tables)
    with open_company(project) as opened:
        left = churn_dates(opened, project.settings.outcome).execute()
    last = {row[1]: row[3] for row in rows if status is None or row[4] == status}
    churned = left["churned_at"].dt.strftime("%Y-%m-%d")
    assert dict(zip(left["account_id"], churned, strict=True)) == last
    assert any("data_do ends" in doubt for doubt in doubts)


def test_deals_that_were_won_are_contracts_and_offers_are_not(tmp_path: Path) -> None:
    tables = signed("deals", TERM, stage="Won")
    project, doubts = drafted(tmp_path, tables)
    with open_company(project) as opened:
        rows = opened.tables["subscriptions"].cleaned.execute()
    assert len(rows) == sum(row[-1] == "Won" for row in tables["deals"])
    assert any("deals holds deals: those whose stage is won are" in doubt for doubt in doubts)
    assert not any("fit nothing" in doubt for doubt in doubts)


def test_ends_of_no_common_length_may_be_the_days_on_which_accounts_left(tmp_path: Path) -> None:
    rows: list[list[Any]] = [TERM]
    for account in range(ACCOUNTS):
        start = date(2020, 1, 1 + account)
        for term in range(4):
            end = start + timedelta(days=100 + 17 * term + 9 * account)
            rows.append([4 * account + term, f"K{account}", start, end])
            start = end
    tables = {"customers": company(date.isoformat)["customers"], "contracts": rows}
    project, _ = drafted(tmp_path, tables)
    columns = project.settings.tables.subscriptions.columns
    assert (columns["ended_at"], columns.get("renewal_at")) == ("end_date", None)


def test_terms_with_a_status_and_an_end_each_renew_too(tmp_path: Path) -> None:
    tables = company(date.isoformat)
    head, *rows = tables["subscriptions"]
    tables["subscriptions"] = [head, *(row for row in rows if row[-1] == "Annual")]
    project, _ = drafted(tmp_path, tables)
    columns = project.settings.tables.subscriptions.columns
    assert (columns["ended_at"], columns["renewal_at"]) == ("ended_when_over", "term_renews")


def test_tables_without_rows_are_drafted_without_terms(tmp_path: Path) -> None:
    tables = {"customers": company(date.isoformat)["customers"], "contracts": [TERM],
              "deals": [["deal_id", "customer_id", "stage", "start_date", "end_date"]],
              "invoices": [["invoice", "customer_id", "invoice_date", "amount"]]}  # fmt: skip
    project, _ = drafted(tmp_path, tables)
    assert not project.settings.views


SURVEYS = {
    "nps_answers": ("score", range(11), "nps", "by its name"),
    "feedback": ("score", range(11), "nps", "as score runs from 0 to 10"),
    "surveys": ("score", range(1, 6), "csat", "as score runs from 1 to 5"),
    "survey_responses": ("effort_score", range(1, 8), "ces", "by its name"),
    "csat": ("nps_score", range(11), "nps", "as nps_score runs from 0 to 10"),
    "survey_answers": ("score", range(0, 101, 10), "", ""),
}


def test_surveys_of_one_kind_are_called_so_by_name_or_scale(tmp_path: Path) -> None:
    for name, (score, scale, _, _) in SURVEYS.items():
        rows = [f"K{n % 9},2022-01-{1 + n % 28:02},{scale[n % len(scale)]}" for n in range(40)]
        text = "\n".join([f"account_id,responded_at,{score}", *rows])
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    read = {}
    with open_source(str(tmp_path), Path()) as source:
        for name in SURVEYS:
            guess = guess_table("surveys", name, source)
            assert guess.missing == ["kind"], name
            tell_kind_of_survey(guess, source)
            kind = (guess.view or "''").split("'")[1]
            why = guess.notes[-1].partition(": ")[2].partition(" it is")[0] if guess.view else ""
            read[name] = (kind, why, guess.missing)
    assert read == {
        name: (kind, why, [] if kind else ["kind"]) for name, (_, _, kind, why) in SURVEYS.items()
    }


@pytest.mark.parametrize("form", [date.isoformat, lambda day: f"{day:%d/%m/%Y}"])
def test_contracts_that_run_on_renew_on_the_anniversaries_on_which_others_end(
    tmp_path: Path, form: Form
) -> None:
    people: list[list[Any]] = [["customer_id", "signup_date"]]
    rows: list[list[Any]] = [["customer_id", "start", "end", "interval"]]
    for n in range(ACCOUNTS):
        began, is_annual = date(2020, 1 + n % 12, 1 + n), n % 4 != 3
        years = 1 + n % 2 if n % 3 == 0 else None
        people.append([f"K{n}", form(began)])
        gone = began.replace(year=2020 + years) if years else None
        if gone and not is_annual:
            gone += timedelta(days=17 + n)
        rows.append([f"K{n}", form(began), form(gone) if gone else "",
                     "year" if is_annual else "month"])  # fmt: skip
    project, doubts = drafted(tmp_path, {"customers": people, "subscriptions": rows})
    assert any("each renews after every 12 months where interval is year" in d for d in doubts)
    with open_company(project) as opened:
        terms = opened.tables["subscriptions"].cleaned.execute().sort_values("started_at")
        left = churn_dates(opened, project.settings.outcome).execute()
    of = terms[terms["account_id"] == "K18"]
    assert of["renewal_at"].dt.year.tolist() == [2021]
    assert terms[terms["account_id"] == "K3"]["renewal_at"].isna().all()
    two = terms[terms["account_id"] == "K9"]
    assert two["ended_at"].dt.strftime("%Y-%m-%d").tolist() == ["2021-10-10", "2022-10-10"]
    # Terms that follow one another are no churn, and those who left did so once.
    assert len(left) == sum(bool(row[2]) for row in rows[1:])


@pytest.mark.parametrize("is_moved_on", [False, True])
def test_an_end_that_is_moved_on_is_no_renewal_of_the_past(
    tmp_path: Path, is_moved_on: bool
) -> None:
    people: list[list[Any]] = [["customer_id", "signup_date"]]
    rows: list[list[Any]] = [["customer_id", "start", "runs_out", "monthly_fee"]]
    gone: list[list[Any]] = [["customer_id", "churned_at"]]
    for n in range(ACCOUNTS):
        began, years = date(2020, 1 + n % 12, 1 + n), 1 + n % 3
        last = began.replace(year=2020 + years)
        people.append([f"K{n}", began])
        if is_moved_on:
            rows.append([f"K{n}", began, last, 50])
        else:
            rows += [[f"K{n}", began.replace(year=2020 + year),
                      began.replace(year=2021 + year), 50] for year in range(years)]  # fmt: skip
        if years < 3:
            gone.append([f"K{n}", last - timedelta(days=20)])
    tables = {"customers": people, "subscriptions": rows, "churn_events": gone}
    project, doubts = drafted(tmp_path, tables)
    told = [doubt for doubt in doubts if "runs_out lies whole quarters after start" in doubt]
    assert bool(told) is not is_moved_on
    contracts = project.settings.tables.subscriptions
    assert contracts.columns.get("renewal_at", "") == ("" if is_moved_on else "runs_out")


def renewing(*, is_moved_on: bool, ends_here: bool) -> dict[str, list[list[Any]]]:
    """Return 120 contracts of years, some over; of those agreed beforehand half are of three.

    Who left is in the contracts or in a table of its own.
    """
    people: list[list[Any]] = [["customer_id", "signup_date"]]
    contracts: list[list[Any]] = [["customer_id", "start_date", "renewal_date", "mrr"]]
    churns: list[list[Any]] = [["customer_id", "churn_date"]]
    if ends_here:
        contracts[0].append("cancelled_on")
    for n in range(120):
        began = date(2020, 1, 1) + timedelta(days=12 * n)
        years = 1 if n % 2 or is_moved_on else 3
        due = [began.replace(year=began.year + k) for k in range(years, 6, years)]
        is_gone = n % 5 == 0 and n < 60
        left = due[n % 2 if is_moved_on else 0] if is_gone else None
        next_one = left or next((day for day in due if day > date(2023, 12, 15)), due[0])
        people.append([f"K{n}", began])
        contracts.append([f"K{n}", began, next_one if is_moved_on else due[0], 50 + n])
        if ends_here:
            contracts[-1].append(left or "")
        elif left:
            churns.append([f"K{n}", left])
    return {"customers": people, "subscriptions": contracts} | (
        {} if ends_here else {"churn_events": churns}
    )


@pytest.mark.parametrize("ends_here", [False, True])
def test_a_renewal_that_is_moved_on_is_an_anniversary(tmp_path: Path, ends_here: bool) -> None:
    """A renewal years after the start would tell that nobody left until then."""
    project, doubts = drafted(tmp_path, renewing(is_moved_on=True, ends_here=ends_here))
    assert any("renewal_date is moved on with each renewal" in doubt for doubt in doubts)
    with open_company(project) as opened:
        rows = opened.tables["subscriptions"].cleaned.execute()
        left = churn_dates(opened, project.settings.outcome).execute()
    assert (rows["renewal_at"] - rows["started_at"]).dt.days.between(365, 366).all()
    assert rows.groupby("account_id")["started_at"].nunique().max() == 4
    assert len(left) == 12


@pytest.mark.parametrize("ends_here", [False, True])
def test_renewals_agreed_for_years_stay(tmp_path: Path, ends_here: bool) -> None:
    project, doubts = drafted(tmp_path, renewing(is_moved_on=False, ends_here=ends_here))
    assert not any("moved on" in doubt for doubt in doubts)
    assert project.settings.tables.subscriptions.columns["renewal_at"] == "renewal_date"
    with open_company(project) as opened:
        rows = opened.tables["subscriptions"].cleaned.execute()
    days = (rows["renewal_at"] - rows["started_at"]).dt.days
    assert sorted(days.unique()) == [365, 366, 1095, 1096]


def long_signed(form: Form, *, is_moved_on: bool, kinds: list[str]) -> dict[str, list[list[Any]]]:
    """Return 120 contracts, the newest of which are old when they are exported, in June 2024.

    What is not moved on was agreed for a year, or for three, which nobody was lately.
    """
    people: list[list[Any]] = [["customer_id", "signup_date"]]
    contracts: list[list[Any]] = [["customer_id", "start_date", "renewal_date", "term"]]
    for n in range(120):
        began = date(2020, 1, 1) + timedelta(days=11 * n)
        ahead = next(day for k in range(9)
                     if (day := began.replace(year=began.year + k)) > date(2024, 6, 1))  # fmt: skip
        due = ahead if is_moved_on else began.replace(year=began.year + (3 if n < 50 else 1))
        people.append([f"K{n}", form(began)])
        contracts.append([f"K{n}", form(began), form(due), kinds[n % len(kinds)]])
    # One was typed wrongly.
    contracts[7][2] = form(date(2099, 1, 1))
    return {"customers": people, "subscriptions": contracts}


@pytest.mark.parametrize("form", [german, date.isoformat])
def test_a_renewal_is_moved_on_however_old_the_newest_contract_is(
    tmp_path: Path, form: Form
) -> None:
    """Kinds that are empty, or have blanks that are not seen, are kinds too."""
    tables = long_signed(form, is_moved_on=True, kinds=["Annual", "", "yearly\t"])
    project, doubts = drafted(tmp_path, tables)
    assert any("renewal_date is moved on with each renewal" in doubt for doubt in doubts)
    assert any("12 months where term is empty" in doubt for doubt in doubts)
    with open_company(project) as opened:
        rows = opened.tables["subscriptions"].cleaned.execute()
    assert (rows["renewal_at"] - rows["started_at"]).dt.days.between(365, 366).all()
    last = rows.groupby("account_id")["renewal_at"].max().drop("K6")
    assert (last > "2024-06-01").all()
    assert (last <= "2025-06-01").all()
    assert (rows["started_at"] <= "2024-06-01").all()


def test_renewals_that_have_come_were_moved_on_by_nobody(tmp_path: Path) -> None:
    tables = long_signed(date.isoformat, is_moved_on=False, kinds=["", "yearly"])
    project, doubts = drafted(tmp_path, tables)
    assert not any("moved on" in doubt for doubt in doubts)
    assert project.settings.tables.subscriptions.columns["renewal_at"] == "renewal_date"
