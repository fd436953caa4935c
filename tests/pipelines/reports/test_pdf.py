from __future__ import annotations

import sys
from pathlib import Path

import pytest

from features.errors import SettingsError
from pipelines.reports.pdf import write_pdf
from pipelines.reports.rendering import render
from pipelines.weights.report.report import weights_html
from pipelines.weights.report.words import headline
from tests.pipelines.reports.told_company import told_company

SUMMARY = ["What it brings", "What to change", "What the score means", "Before you act"]


class _NoPango:
    """An import of WeasyPrint where the system lacks what it loads."""

    def find_spec(self, name, path=None, target=None):
        if name == "weasyprint":
            raise OSError("cannot load library 'libpango-1.0-0': no such file\nAdditionally, …")


def _weasyprint():
    return pytest.importorskip("weasyprint", reason="needs Pango", exc_type=OSError)


def test_the_report_is_printed_page_by_page():
    weasyprint = _weasyprint()
    recommended = told_company(("only",))
    document = weasyprint.HTML(string=weights_html(recommended)).render()
    assert len(document.pages) > 1
    ((title, (number, _, _), entries, _),) = document.make_bookmark_tree()
    assert (title, number) == (headline(recommended), 0)
    # The first page is the one that is read: all that is to be changed stands on it.
    first = [label for label, (page, _, _), _, _ in entries if page == 0]
    assert first == SUMMARY


def test_an_older_file_is_replaced_whole_and_without_a_word(tmp_path, capfd):
    _weasyprint()
    file = tmp_path / "report.pdf"
    file.write_text("old")
    write_pdf(render("base.html.j2", page_title="New"), file)
    written = file.read_bytes()
    assert written.startswith(b"%PDF-")
    assert written.rstrip().endswith(b"%%EOF")
    assert capfd.readouterr() == ("", "")
    assert [found.name for found in tmp_path.iterdir()] == ["report.pdf"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a.png", "file://{secret}"])
def test_nothing_is_fetched(tmp_path, url):
    _weasyprint()
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    image, attached = url.format(secret=secret), secret.as_uri()
    page = f'<p>Text</p><img src="{image}"><a rel="attachment" href="{attached}">x</a>'
    write_pdf(page, tmp_path / "page.pdf")
    written = (tmp_path / "page.pdf").read_bytes()
    assert b"/EmbeddedFile" not in written


def test_a_system_without_pango_is_told_what_to_install(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "weasyprint"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_NoPango(), *sys.meta_path])
    with pytest.raises(SettingsError) as refused:
        write_pdf("<p>Text</p>", tmp_path / "page.pdf")
    assert str(refused.value) == (
        "A PDF needs the system library Pango, which cannot be loaded (cannot load library"
        " 'libpango-1.0-0': no such file); install it with 'apt install libpango-1.0-0"
        " libpangoft2-1.0-0 libharfbuzz-subset0' or 'brew install pango', or write .html"
    )
    assert not list(Path(tmp_path).iterdir())
