"""Forms of a digest: a mail, a message of Slack and its like, and plain text."""

from __future__ import annotations

from email.message import EmailMessage
from html import escape
from typing import TYPE_CHECKING, Any

from pipelines.reports.rendering import render
from pipelines.reports.terminal.console import plain

if TYPE_CHECKING:
    from pipelines.portfolio.outbox.digest import Digest

HEADER, SECTION, BLOCKS = 150, 3000, 50
"""Most characters of a header and of a section, and most blocks of a message, in Slack."""
LINE = 400


def digest_html(digest: Digest) -> str:
    """Write a digest as a mail that fetches nothing; every name in it is text."""
    return render("digest.html.j2", digest=digest, title=_line(digest.title, HEADER))


def digest_text(digest: Digest) -> str:
    """Write a digest as plain text, without a character that moves a cursor."""
    lines = [digest.title, f"{digest.headline}."]
    lines += [f"Not of today. {digest.outdated}."] if digest.outdated else []
    lines += [f"{digest.since}."] if digest.since else []
    for part in digest.parts:
        lines += ["", part.title]
        lines += [f"- {item.name} ({item.account_id}): {item.about}" for item in part.items]
        lines += [f"  and {part.left_out:,} more"] if part.left_out else []
    if digest.is_empty:
        lines += ["", "Nothing new since the last digest."]
    lines += ["", "Who to call first"] if digest.calls else []
    for call in digest.calls:
        about = f": {said}" if (said := digest.about(call)) else ""
        lines.append(f"- {call.name or call.account_id} ({call.account_id}){about}")
        lines += [f"  {sentence}" for sentence in call.sentences]
        lines += [f"  → {call.play}"] if call.play else []
        done = digest.done.get(call.account_id)
        lines += [f"  ({done})"] if done else []
    return "\n".join(_line(line, LINE) for line in lines) + "\n"


def digest_message(digest: Digest) -> dict[str, Any]:
    """Write a digest as a message that a Slack webhook takes.

    Names stand in blocks of plain text, in which nothing is a mention or a link; in the text that
    is shown where blocks are not, what begins one is escaped.
    """
    title = _line(digest.title, HEADER)
    sections = [digest_text(digest).split("\n", 1)[1]]
    paragraphs = [one for whole in sections for one in whole.split("\n\n")]
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain_text(title, HEADER)}]
    blocks += [
        {"type": "section", "text": _plain_text(one.strip(), SECTION)}
        for one in paragraphs
        if one.strip()
    ]
    said = digest.since or digest.headline
    return {
        "text": escape(f"{title}: {_line(said, LINE)}", quote=False),
        "blocks": blocks[:BLOCKS],
    }


def digest_mail(digest: Digest, sender: str, recipient: str, delivery: str) -> EmailMessage:
    """Write a digest as a mail, in text and in HTML.

    Parameters
    ----------
    digest : Digest
        The digest.
    sender, recipient : str
        Addresses.
    delivery : str
        What a mail server can tell a repeated mail by.
    """
    mail = EmailMessage()
    mail["From"], mail["To"] = sender, recipient
    mail["Subject"] = _line(digest.title, HEADER)
    mail["Message-ID"] = f"<{delivery}@healthscore>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(digest_text(digest))
    mail.add_alternative(digest_html(digest), subtype="html")
    return mail


def _plain_text(text: str, longest: int) -> dict[str, Any]:
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return {"type": "plain_text", "text": cut, "emoji": False}


def _line(text: str, longest: int) -> str:
    """Write a line in which nothing but its characters is left of somebody's names."""
    indent = text[: len(text) - len(text.lstrip(" "))]
    return indent + plain(text, longest)
