"""Surveys: what customers last answered, where their answers go, and who stays silent."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.builders.builder import Request, fill_rows
from features.builders.settings import SignalsSettings
from features.catalog import Direction, Group, Signal
from features.tables.company import Company, days_between

LOOKBACK_DAYS, SILENCE_DAYS = 365, 180

# Whether a high effort score is good depends on how the question was put.
_KINDS: dict[str, Direction] = {"nps": "higher", "csat": "higher", "ces": "none"}
_ANSWERS = tuple(
    signal
    for kind, healthy in _KINDS.items()
    for signal in (
        Signal(
            f"{kind}_last",
            "surveys",
            "score",
            healthy,
            f"Last {kind.upper()} answer",
            LOOKBACK_DAYS,
            f"The last {kind.upper()} answer was {{value}}",
        ),
        Signal(
            f"{kind}_trend",
            "surveys",
            "score",
            healthy,
            f"{kind.upper()} trend",
            LOOKBACK_DAYS,
            f"The last {kind.upper()} answer is {{value}} off the mean of those before",
        ),
    )
)
_AGE = Signal(
    "days_since_survey_answer",
    "surveys",
    "days",
    "none",
    "Time since last survey answer",
    LOOKBACK_DAYS,
    "The last survey answer came {value} ago (365 at most)",
)
_SILENT = Signal(
    "surveys_unanswered_180d",
    "surveys",
    "share",
    "lower",
    "Surveys unanswered",
    SILENCE_DAYS,
    "{value} of the surveys sent in 180 days got no answer",
)


class SurveysBuilder:
    """Signals of the ``surveys`` group, from what was sent and what came back."""

    group: Group = "surveys"

    def signals(self, company: Company, settings: SignalsSettings) -> tuple[Signal, ...]:
        """List the signals of answers and, where it is recorded what was sent, of silence."""
        if not company.has("surveys"):
            return ()
        return (*_ANSWERS, _AGE, *((_SILENT,) if _tells_of_silence(company) else ()))

    def build(self, request: Request) -> ir.Table:
        """Read the surveys known before each observation."""
        wanted = [signal.name for signal in self.signals(request.company, request.settings)]
        surveys = _with_latest(request.known("surveys"))
        answer_age = days_between(surveys.observation_date, surveys.responded_at)
        sent_age = days_between(surveys.observation_date, surveys.sent_at)
        silent = surveys.responded_at.isnull().ifelse(1.0, 0.0)
        measures: dict[str, ir.Value] = {
            _AGE.name: answer_age.min(where=answer_age <= LOOKBACK_DAYS),
            _SILENT.name: silent.mean(where=sent_age <= SILENCE_DAYS),
        }
        for kind in _KINDS:
            answered = (surveys.kind == kind) & (answer_age <= LOOKBACK_DAYS)
            is_last = surveys.responded_at == surveys.latest
            last = surveys.score.mean(where=answered & is_last)
            earlier = surveys.score.mean(where=answered & ~is_last)
            measures |= {f"{kind}_last": last, f"{kind}_trend": last - earlier}
        values = surveys.group_by("account_id", "observation_date").aggregate(**measures)
        rows = fill_rows(request.keys, values, [])
        capped = rows[_AGE.name].fill_null(float(LOOKBACK_DAYS))
        return rows.mutate(**{_AGE.name: capped}).select("account_id", "observation_date", *wanted)


def _tells_of_silence(company: Company) -> bool:
    """Whether surveys are there that nobody answered.

    Where answers alone are recorded, a survey that is still open on a date is one that will be
    answered: to call it silent would tell the future.
    """
    if "sent_at" not in company.tables["surveys"].raw.columns:
        return False
    quality = company.quality.get("surveys")
    return quality is None or quality.missing.get("responded_at", 0.0) > 0


def _with_latest(surveys: ir.Table) -> ir.Table:
    """Add the time of the latest scored answer of each kind, whatever the kind's case."""
    surveys = surveys.mutate(kind=surveys.kind.strip().lower())
    same = ibis.window(group_by=["account_id", "observation_date", "kind"])
    scored = surveys.score.notnull().ifelse(surveys.responded_at, ibis.null("timestamp"))
    return surveys.mutate(latest=scored.max().over(same))
