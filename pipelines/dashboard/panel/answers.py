"""Fields that several API answers share: the state of background work, and moments."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator

State = Literal["ready", "working", "impossible"]


def in_utc(moment: datetime) -> datetime:
    """Say of a moment without a zone that it is UTC, as all moments here are."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime, AfterValidator(in_utc)]
"""A moment as JSON schema has it, with its zone."""
