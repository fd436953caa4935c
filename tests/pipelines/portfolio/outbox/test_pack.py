"""One-pagers and packs: what they say is what pages say, on as many sheets of paper as accounts."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from features.errors import DataError
from pipelines.portfolio.outbox.pack import pack_of
from pipelines.project.records.calls import call_book, call_entry
from pipelines.store.runs import now
from tests.pipelines.dashboard.served import HOSTILE, account_id, company, issue_scores

weasyprint = pytest.importorskip("weasyprint", reason="needs Pango")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = company(tmp_path_factory.mktemp("packed") / "company", 60)
    issue_scores(made, 60, seed=5, day=date(2024, 12, 1))
    issue_scores(made, 60)
    entry = call_entry(
        "A-0003", "called", by="ben", moment=now(), result="will stay", note="<i>rang</i>"
    )
    call_book(made.folder).record([entry])
    return made


def pages_of(html: str) -> list[tuple[float, float]]:
    """Widths and heights of the sheets, in millimetres."""
    paper = weasyprint.HTML(string=html).render().pages
    return [(round(page.width * 25.4 / 96), round(page.height * 25.4 / 96)) for page in paper]


def test_an_account_has_one_page(project) -> None:
    made = pack_of(project, ["A-0003"], owner=None, first=10)
    assert made.digest is None
    html = made.html(is_wide=False)
    assert HOSTILE[3] not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "by ben: will stay" in html
    assert "<i>rang" not in html
    assert "Since 1 December 2024:" in html
    assert pages_of(html) == [(210, 297)]
    assert pages_of(made.html(is_wide=True)) == [(339, 191)]


def test_a_pack_has_a_page_on_all_and_one_for_each(project) -> None:
    made = pack_of(project, [], owner="Ann Lee", first=3)
    assert made.digest is not None
    assert {sheet.call.owner for sheet in made.sheets} == {"Ann Lee"}
    stakes = [sheet.call.stake or 0.0 for sheet in made.sheets]
    assert stakes == sorted(stakes, reverse=True)
    html = made.html(is_wide=True)
    assert "Accounts of Ann Lee, 1 January 2025" in html
    assert "<script" not in html
    assert pages_of(html) == [(339, 191)] * 4


@pytest.mark.parametrize("number", [4, 5, 6, 7, 8, 9, 10, 12, 13])
def test_names_of_any_kind_fit(project, number) -> None:
    html = pack_of(project, [account_id(number)], owner=None, first=1).html(is_wide=False)
    assert "\u202e" not in html
    assert "<b>id</b>" not in html
    assert len(pages_of(html)) == 1


def test_an_account_of_which_all_is_said_has_one_page_and_one_slide(project) -> None:
    made = pack_of(project, [account_id(6)], owner=None, first=1)
    (sheet,) = made.sheets
    wordy = [(what, figure, "said in many words; " * 8) for what, figure, _ in sheet.figures * 2]
    said = replace(sheet.call, sentences=["a reason that names all it is about; " * 4] * 3)
    longest = replace(made, sheets=[replace(sheet, figures=wordy[:6], call=said)])
    for is_wide in (False, True):
        assert len(pages_of(longest.html(is_wide=is_wide))) == 1


def test_what_is_not_there_is_refused(project) -> None:
    for account, owner in (("A-9999", None), ("A-0001", "Ann Lee")):
        with pytest.raises(DataError, match=f"Account '{account}' is not among the scores of 2025"):
            pack_of(project, [account], owner=owner, first=1)


def test_the_command_writes_it(run, project) -> None:
    file = project.folder / "pack.pdf"
    ran = run("pack", "--first", 2, "-c", project.path, "--json")
    assert ran.answer["file"] == str(file)
    assert len(ran.answer["accounts"]) == 2
    assert file.read_bytes().startswith(b"%PDF")
    assert ran.answer["outdated"] is None
    assert run("pack", "--out", "pack.docx", "-c", project.path).code == 2
    page = project.folder / "pack.html"
    told = run("pack", "A-0001", "--slides", "--out", page, "-c", project.path)
    assert told.out.startswith(f"Wrote 1 accounts to {page}\n")
