"""Handing digests out: printed, written or sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.catalog import signal_name
from features.errors import SettingsError
from pipelines.portfolio.outbox.book import opened_book, owners_of, reader_of
from pipelines.portfolio.outbox.digest import Digest, digest_of
from pipelines.portfolio.outbox.forms import digest_html, digest_text
from pipelines.portfolio.outbox.ledger import opened_ledger
from pipelines.portfolio.outbox.once import FAILED, UNCERTAIN, Sent
from pipelines.portfolio.outbox.sending import send_digest
from pipelines.project.project import Project
from pipelines.reports.terminal.console import plain
from pipelines.reports.terminal.whole_file import replaced_whole

if TYPE_CHECKING:
    from pipelines.project.settings.alert import DigestSettings

FORMS = (".html", ".json", ".txt")


@dataclass(frozen=True)
class HandedOut:
    """What became of some digests.

    Parameters
    ----------
    digests : list of Digest
        The digests.
    files : list of str
        Where they were written.
    sent : list of Sent
        What was sent, and what was not.
    said : list of str
        What people are told, a line each.
    warnings : list of str
        What to think about, a sentence each.
    """

    digests: list[Digest]
    files: list[str]
    sent: list[Sent]
    said: list[str]
    warnings: list[str]

    @property
    def failed(self) -> bool:
        """Whether a digest did not arrive, or may not have."""
        return any(one.became in (FAILED, UNCERTAIN) for one in self.sent)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``digest --json`` prints."""
        return {
            "digests": [digest.to_dict() for digest in self.digests],
            "files": self.files,
            "sent": [asdict(one) for one in self.sent],
            "warnings": self.warnings,
        }


def hand_out(
    project: Project,
    *,
    owner: str | None,
    all_owners: bool,
    out: Path | None,
    send: bool,
    again: bool,
) -> HandedOut:
    """Put digests of the newest run together, and print, write or send them.

    Parameters
    ----------
    project : Project
        The configuration, of one outcome.
    owner : str or None
        Whose accounts; all of them when None.
    all_owners : bool
        Whether each owner gets a digest of their own.
    out : Path or None
        A file, or a folder for all owners.
    send : bool
        Whether to send what was not sent before.
    again : bool
        Whether to send also what may have arrived before.

    Raises
    ------
    SettingsError
        When options exclude each other, nothing is configured to send with, or no column names
        owners.
    DataError
        When nobody of that name looks after an account.
    StoreError
        When nothing was issued, or the store or the ledger cannot be used.
    OSError
        When a file cannot be written.
    """
    settings = project.settings.digest
    _refuse(settings, owner, out, all_owners=all_owners, send=send, again=again)
    with opened_book(project) as book:
        named = owners_of(project, book) if all_owners else [owner]
        digests = [digest_of(project, book, reader_of(project, book, one), one) for one in named]
        if all_owners and settings.everything_to is not None:
            digests.append(digest_of(project, book, reader_of(project, book, None), None))
    files = [] if out is None else _written(digests, out, in_folder=all_owners)
    sent: list[Sent] = []
    warnings = _unaddressed(settings, digests) if send else []
    if send:
        with opened_ledger(project.folder / settings.ledger) as ledger:
            for digest in digests:
                sent += send_digest(settings, ledger, digest, again=again)
    said = [f"Wrote {file}" for file in files] + [_sent_words(one) for one in sent]
    if out is None and not send:
        said = [line for digest in digests for line in digest_text(digest).split("\n")]
    outdated = next((digest.outdated for digest in digests if digest.outdated), None)
    warnings += [outdated] if outdated else []
    return HandedOut(digests, files, sent, said, warnings)


def _refuse(
    settings: DigestSettings,
    owner: str | None,
    out: Path | None,
    *,
    all_owners: bool,
    send: bool,
    again: bool,
) -> None:
    if owner is not None and all_owners:
        raise SettingsError("--owner names one and --all asks for each; leave one of them out")
    if again and not send:
        raise SettingsError("--again sends once more, and --send is not there; add it")
    if send and settings.smtp_host is None and settings.webhook is None:
        raise SettingsError(
            "Nothing can be sent: [digest] has neither smtp_host nor webhook; add one, or write"
            " digests with --out"
        )
    if out is not None and not all_owners and out.suffix.lower() not in FORMS:
        raise SettingsError(
            f"A digest is written as {', '.join(FORMS)}, and '{out}' ends in '{out.suffix}'; name"
            " another file"
        )


def _written(digests: Sequence[Digest], out: Path, *, in_folder: bool) -> list[str]:
    if not in_folder:
        return [_write(digests[0], out)]
    out.mkdir(parents=True, exist_ok=True)
    return [
        # Names are other people's words: a file is called after their letters alone.
        _write(digest, out / f"{number:03d}-{signal_name(digest.owner or 'everybody')}.html")
        for number, digest in enumerate(digests, start=1)
    ]


def _write(digest: Digest, file: Path) -> str:
    forms: dict[str, Callable[[Digest], str]] = {
        ".html": digest_html,
        ".txt": digest_text,
        ".json": lambda one: json.dumps(one.to_dict(), allow_nan=False) + "\n",
    }
    with replaced_whole(file) as fresh:
        fresh.write_text(forms[file.suffix.lower()](digest), encoding="utf-8")
    return str(file)


def _unaddressed(settings: DigestSettings, digests: Sequence[Digest]) -> list[str]:
    """Say who has no address although mails are sent."""
    if settings.smtp_host is None:
        return []
    nowhere = [one.owner for one in digests if one.owner and one.owner not in settings.to]
    if not nowhere:
        return []
    named = ", ".join(plain(owner, 40) for owner in nowhere[:5])
    return [
        f"No mail goes to {named}, {len(nowhere)} in all: [digest.to] names no address of theirs"
    ]


def _sent_words(sent: Sent) -> str:
    whose = "everybody" if sent.owner is None else plain(sent.owner, 60)
    return f"{whose}, {sent.way}: {sent.became}" + (f" ({sent.why})" if sent.why else "")
