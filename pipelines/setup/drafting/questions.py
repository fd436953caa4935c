"""What ``init`` asks a person at a terminal: at most five things, each with a default."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from features.errors import SettingsError, sample
from pipelines.setup.drafting.vendors import Answers, Found, currency_of, rates_of

Ask = Callable[[str, str], str]
"""Shows a question and its default, and returns the answer."""
MOST_QUESTIONS = 5


def answered(
    answers: Answers, vendors: Sequence[Found], currencies: Sequence[str], ask: Ask
) -> Answers:
    """Ask what no option has said and several answers are possible to.

    Parameters
    ----------
    answers : Answers
        What options said.
    vendors : sequence of Found
        Whose exports are there.
    currencies : sequence of str
        Of amounts, the most frequent first.
    ask : callable
        Asks a person.

    Raises
    ------
    SettingsError
        When a currency or a rate cannot be read, or trials are neither yes nor no.
    """
    hubs = _able(vendors, "accounts")
    if answers.accounts is None and len(hubs) > 1:
        asked = f"Which system says who is an account ({', '.join(hubs)}, own)?"
        answers = replace(answers, accounts=_chosen(ask(asked, "by itself")))
    ends = _able(vendors, "subscriptions")
    if answers.contracts is None and len(ends) > 1:
        asked = f"Which system says when an account left ({', '.join(ends)}, own)?"
        answers = replace(answers, contracts=_chosen(ask(asked, "by itself")))
    if answers.currency is None and not answers.rates and len(currencies) > 1:
        others = ", ".join(currencies[1:])
        asked = (
            f"Which currency, and what is one {others} worth in it (such as usd eur=1.08; amounts"
            " without a rate are missing)?"
        )
        named, *rates = ask(asked, currencies[0]).split() or [currencies[0]]
        if "=" in named:
            # Rates alone leave the currency as it was offered.
            named, rates = currencies[0], [named, *rates]
        answers = replace(answers, currency=currency_of(named), rates=rates_of(rates))
    if not answers.leave_out:
        asked = "Which accounts are no customers, by id, name or domain (such as ourcompany.com)?"
        listed = _chosen(ask(asked, "none"))
        named_out = [each.strip() for each in (listed or "").split(",")]
        answers = replace(answers, leave_out=tuple(filter(None, named_out)))
    if answers.trials is None and any(_knows_trials(each) for each in vendors):
        answers = replace(answers, trials=_asked_of_trials(ask))
    return answers


def answered_of_own(answers: Answers, doubts: Sequence[str], ask: Ask) -> Answers:
    """Ask what a draft of tables that no vendor writes has left open, by the options it names.

    Raises
    ------
    SettingsError
        When a rate cannot be read, or an answer is neither yes nor no.
    """
    mixed = next((re.search(r"--currency (\S+) --rate (\S+)=1.1", each) for each in doubts
                  if "--rate" in each), None)  # fmt: skip
    if mixed is not None and not answers.rates:
        asked = (
            f"Which currency, and what is one of another worth in it (such as {mixed[1]}"
            f" {mixed[2]}=1.08; amounts are left out without)?"
        )
        named, *rates = ask(asked, "none").split() or ["none"]
        if named.lower() != "none":
            answers = replace(answers, currency=currency_of(named), rates=rates_of(rates))
    if answers.hundredths is None and any("--no-hundredths" in each for each in doubts):
        asked = "Whole numbers of prices look like hundredths: are they (yes, no)?"
        answers = replace(answers, hundredths=_yes(ask(asked, "yes"), "--no-hundredths"))
    if answers.trials is None and any("--trials" in each for each in doubts):
        answers = replace(answers, trials=_asked_of_trials(ask))
    return answers


def _asked_of_trials(ask: Ask) -> bool:
    said = ask("Do trials count as contracts (yes, no)?", "no").strip().lower()
    if said not in ("yes", "y", "no", "n", ""):
        raise SettingsError(
            f"Whether trials count as contracts is yes or no, found {sample([said])};"
            " run it again, or pass --trials or --no-trials"
        )
    return said in ("yes", "y")


def _yes(answer: str, option: str) -> bool:
    said = answer.strip().lower()
    if said not in ("yes", "y", "no", "n", ""):
        raise SettingsError(
            f"The answer is yes or no, found {sample([said])}; run it again, or pass {option}"
        )
    return said in ("yes", "y", "")


def _able(vendors: Sequence[Found], table: str) -> list[str]:
    return [each.section for each in vendors if table in each.pack.tables and each.makes(table)]


def _chosen(answer: str) -> str | None:
    return None if answer.strip().lower() in ("", "by itself", "none") else answer.strip()


def _knows_trials(found: Found) -> bool:
    texts = [text for _, step in found.pack.places() for text in step.expressions()]
    return any("trial(" in text or "paid_from(" in text for text in texts)
