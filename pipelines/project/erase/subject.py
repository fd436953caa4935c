"""What is erased, or asked for: an account or a person, and the words it is known by."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipelines.project.records.erased import Kind

CONFIG = "config"
LEAST = 4
"""Words shorter than this stand in too many texts to be anybody's."""


@dataclass(frozen=True)
class Subject:
    """An account or a person.

    Parameters
    ----------
    kind : {"account", "person"}
        Which of them.
    name : str
        The account's id, or the person's name.
    others : tuple of str
        Further words it is known by, such as an account's name.
    tombstone : str
        What stands in their place.
    """

    kind: Kind
    name: str
    others: tuple[str, ...]
    tombstone: str

    @property
    def words(self) -> tuple[str, ...]:
        """Everything that it is known by."""
        return (self.name, *self.others)

    def is_account(self, account_id: str) -> bool:
        """Whether an id is that of the account."""
        return self.kind == "account" and account_id == self.name

    def person(self, name: str) -> str:
        """Return a person's name, or what stands in its place."""
        known = {word.lower() for word in self.words}
        is_it = self.kind == "person" and name.lower() in known
        return self.tombstone if is_it else name

    def without(self, text: str) -> str:
        """Return a text without the words."""
        return text if self._pattern is None else self._pattern.sub(self.tombstone, text)

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        long = sorted({one for one in self.words if len(one) >= LEAST}, key=len, reverse=True)
        alternatives = "|".join(map(re.escape, long))
        # What a hyphen continues is another name: "A-1" does not stand in "A-1-b".
        alone = rf"(?<!\w)(?<!\w-)(?:{alternatives})(?!\w)(?!-\w)"
        return re.compile(alone, re.IGNORECASE) if long else None

    @property
    def short(self) -> list[str]:
        """The words that no text is searched for."""
        return [word for word in self.words if len(word) < LEAST]

    def facts_without(self, facts: Mapping[str, str]) -> Mapping[str, str]:
        """Return the facts of a run without the name where its configuration says it."""
        text = facts.get(CONFIG, "")
        if not any(json.dumps(word)[1:-1] in text or word in text for word in self.words):
            return facts
        changed = self.config_without(text)
        return facts if changed == text else {**facts, CONFIG: changed}

    def config_without(self, text: str) -> str:
        """Return a configuration without the name where it stands for somebody."""
        import tomlkit
        from tomlkit.exceptions import TOMLKitError

        try:
            document: Any = tomlkit.parse(text)
            places = _exclusions(document) if self.kind == "account" else _recipients(document)
            is_changed = False
            for place, key in places:
                if str(key if isinstance(key, str) else place[key]) in self.words:
                    if isinstance(key, str):
                        del place[key]
                    else:
                        place[key] = self.tombstone
                    is_changed = True
            return tomlkit.dumps(document) if is_changed else text
        except (TOMLKitError, AttributeError, TypeError, KeyError):
            return text


def _exclusions(document: Any) -> list[tuple[Any, int]]:
    """List the places of accounts that experiments leave out."""
    excluded = [one.get("exclude", []) for one in document.get("experiments", {}).values()]
    return [(accounts, place) for accounts in excluded for place in range(len(accounts))]


def _recipients(document: Any) -> list[tuple[Any, str]]:
    """List the owners whose addresses digests go to."""
    to = document.get("digest", {}).get("to", {})
    return [(to, owner) for owner in list(to)]
