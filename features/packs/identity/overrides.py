"""The file of links that people keep: it goes before every rule."""

from __future__ import annotations

import csv
from pathlib import Path

from features.errors import SettingsError, sample

HEADER = ("source", "key", "account_id")


def read_overrides(file: Path, systems: list[str]) -> dict[str, dict[str, str]]:
    """Read a file of overrides: per system, key to account; an empty account unlinks a key.

    Raises
    ------
    SettingsError
        When it is missing, has other columns, names another system, or a key twice.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
            header = tuple(rows[0]) if rows else HEADER
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(
            f"The links file '{file}' cannot be read: {getattr(error, 'strerror', None) or error};"
            " correct [identity] overrides"
        ) from error
    if set(HEADER) - set(header):
        raise SettingsError(
            f"The links file '{file}' needs the columns {', '.join(HEADER)} and has"
            f" {sample(header, 6)}; correct its first line"
        )
    links: dict[str, dict[str, str]] = {system: {} for system in systems}
    for number, row in enumerate(rows, start=2):
        system, key, account = (str(row[name] or "").strip() for name in HEADER)
        if system not in links:
            raise SettingsError(
                f"The links file '{file}', line {number}, names the source {sample([system])};"
                f" known are {sample(systems, 8)}"
            )
        if key in links[system]:
            raise SettingsError(
                f"The links file '{file}', line {number}, names the key {sample([key])} of"
                f" '{system}' again; a key has one account: keep one of the lines"
            )
        links[system][key] = account
    return links


def refuse_unknown(links: dict[str, dict[str, str]], accounts: set[str], file: Path) -> None:
    """Refuse accounts that are not there.

    Raises
    ------
    SettingsError
        When a link names one.
    """
    named = {account for each in links.values() for account in each.values() if account}
    strange = sorted(named - accounts)
    if strange:
        raise SettingsError(
            f"The links file '{file}' names accounts that are not there: {sample(strange)};"
            " correct them"
        )
