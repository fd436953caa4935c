"""Where a page goes: one HTML file that holds all it needs, or a PDF."""

from __future__ import annotations

from pathlib import Path

from features.errors import SettingsError
from pipelines.reports.terminal.whole_file import replaced_whole

SUFFIXES = (".html", ".pdf")


def refuse_other_page(file: Path | None, *further: str) -> None:
    """Stop before any work when a page could not be written under that name.

    Parameters
    ----------
    file : Path or None
        Where it is to go; None where nobody says.
    further : str
        Endings that are written beside ``.html`` and ``.pdf``.

    Raises
    ------
    SettingsError
        When the file ends in none of these, or its folder does not exist.
    """
    if file is None:
        return
    known = (*SUFFIXES, *further)
    if file.suffix.lower() not in known:
        raise SettingsError(
            f"A page is written as {' or '.join(known)}, and '{file}' ends in"
            f" '{file.suffix}'; name another file with --out"
        )
    if not file.absolute().parent.is_dir():
        raise SettingsError(
            f"The folder '{file.absolute().parent}' of --out does not exist; make it or name"
            " another file"
        )


def write_page(html: str, file: Path) -> None:
    """Write a page as HTML or PDF, by the file's suffix.

    Raises
    ------
    SettingsError
        When it is to be a PDF and the system lacks what that needs.
    """
    if file.suffix.lower() == ".pdf":
        from pipelines.reports.pdf import write_pdf

        write_pdf(html, file)
        return
    with replaced_whole(file) as fresh:
        fresh.write_text(html, encoding="utf-8")
