"""Overrides: what somebody who knows an account says of it instead, with a reason and an end.

An override stands beside the score and changes nothing that was issued. What the score said when
it was made is kept with it, so that it can be held against what happens.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from features.errors import SettingsError, sample
from features.json_values import JsonReady
from pipelines.project.records.calls import LONGEST_NOTE, refuse_other
from pipelines.project.records.chain import Chain

FILE_NAME = "overrides.jsonl"
LONGEST_DAYS = 180
LEAST_REASON = 10


@dataclass(frozen=True)
class Scored:
    """What an account was issued, and what is meant by a band.

    Parameters
    ----------
    outcome : str
        Name of the outcome.
    as_of : date
        Date of the scores.
    model_version : str
        What made them.
    band : str
        The band it is in.
    probability : float
        Its probability of the outcome.
    means : dict of str to float
        Mean probability, in that run, of the accounts of each band.
    """

    outcome: str
    as_of: date
    model_version: str
    band: str
    probability: float
    means: dict[str, float]


@dataclass(frozen=True)
class Override(JsonReady):
    """One override, or the end of one.

    Parameters
    ----------
    account_id, outcome : str
        Whose score.
    band : str or None
        The band that it belongs in; None where an earlier override is taken back.
    reason : str
        Why.
    by : str
        Who says so.
    written_at : datetime
        When, in UTC.
    until : date
        The day from which it counts no more.
    as_of : date
        Date of the scores that it disputes.
    model_version, band_issued : str
        What made them, and the band that the account was issued.
    probability : float
        The probability that it was issued.
    probability_meant : float
        The mean probability of the band that it is said to belong in.
    """

    account_id: str
    outcome: str
    band: str | None
    reason: str
    by: str
    written_at: datetime
    until: date
    as_of: date
    model_version: str
    band_issued: str
    probability: float
    probability_meant: float


class OverrideBook(Chain[Override]):
    """The file of overrides."""

    KIND = Override
    WHAT = "record of overrides"
    WHY = "whether overrides help cannot be told from what was written over them"

    def record(self, override: Override) -> None:
        """Write an override.

        Raises
        ------
        StoreError
            When the file was changed, or cannot be written.
        """
        with self.adding():
            self.add(override)

    def standing(self, outcome: str, day: date) -> dict[str, Override]:
        """Return the overrides that count on a day, by account."""
        newest = {one.account_id: one for one in self.entries() if one.outcome == outcome}
        return {
            account: one
            for account, one in newest.items()
            if one.band is not None and day < one.until
        }


def override_book(folder: Path) -> OverrideBook:
    """Return the record of overrides beside a configuration."""
    return OverrideBook(folder / FILE_NAME)


def made_override(
    account_id: str,
    scored: Scored,
    band: str,
    *,
    reason: str,
    until: date | None,
    by: str,
    moment: datetime,
) -> Override:
    """Make an override of what somebody said; an empty band takes the earlier one back.

    Raises
    ------
    SettingsError
        When it cannot be one.
    """
    said = " ".join(reason.split())
    today = moment.date()
    if band:
        refuse_other(band, _bands(scored.means), "A score is overridden by")
        if band == scored.band:
            raise SettingsError(
                f"The account is {band} already, so there is nothing to dispute; choose another"
                " band"
            )
        if not LEAST_REASON <= len(said) <= LONGEST_NOTE or not said.isprintable():
            raise SettingsError(
                f"An override has a reason of {LEAST_REASON} to {LONGEST_NOTE:,} printable"
                f" characters, and {sample([said])} is not; say what the score does not know"
            )
        if until is None or not today < until <= today + timedelta(days=LONGEST_DAYS):
            raise SettingsError(
                f"An override ends on a day after today and within {LONGEST_DAYS} days, and"
                f" {until or 'no day'} is none; name one, and dispute the score again then"
            )
    return Override(
        account_id=account_id,
        outcome=scored.outcome,
        band=band or None,
        reason=said,
        by=by,
        written_at=moment,
        until=until if band and until else today,
        as_of=scored.as_of,
        model_version=scored.model_version,
        band_issued=scored.band,
        probability=scored.probability,
        probability_meant=scored.means[band] if band else scored.probability,
    )


def _bands(means: Collection[str]) -> list[str]:
    return sorted(means)
