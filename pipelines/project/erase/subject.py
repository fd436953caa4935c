"""What is erased, or asked for: an account or a person, and the words it is known by."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
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
    certain : tuple of str
        Words that somebody said are its own, although they are letters alone.
    """

    kind: Kind
    name: str
    others: tuple[str, ...]
    tombstone: str
    certain: tuple[str, ...] = ()

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
        own = {one for one in self.words if len(one) >= LEAST} - set(self.common)
        return _any_of(own)

    @cached_property
    def _common_pattern(self) -> re.Pattern[str] | None:
        return _any_of(self.common)

    def doubtful_in(self, text: str) -> list[str]:
        """List words of a text that may stand for it, or mean what they mean to everybody."""
        met = [] if self._common_pattern is None else self._common_pattern.findall(text)
        return list(dict.fromkeys(met))

    @property
    def common(self) -> list[str]:
        """The words that others use too: letters alone, such as "Networks".

        Unless somebody said that they are its own, they are taken out where they stand for it, as
        an id does, and of no text.
        """
        words = dict.fromkeys(self.words)
        return [
            one for one in words if len(one) >= LEAST and one.isalpha() and one not in self.certain
        ]

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


def _any_of(words: Collection[str]) -> re.Pattern[str] | None:
    alternatives = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
    # What a hyphen continues is another name: "A-1" does not stand in "A-1-b".
    alone = rf"(?<!\w)(?<!\w-)(?:{alternatives})(?!\w)(?!-\w)"
    return re.compile(alone, re.IGNORECASE) if words else None


def _exclusions(document: Any) -> list[tuple[Any, int]]:
    """List the places of accounts that experiments leave out."""
    excluded = [one.get("exclude", []) for one in document.get("experiments", {}).values()]
    return [(accounts, place) for accounts in excluded for place in range(len(accounts))]


def _recipients(document: Any) -> list[tuple[Any, str]]:
    """List the owners whose addresses digests go to."""
    to = document.get("digest", {}).get("to", {})
    return [(to, owner) for owner in list(to)]
