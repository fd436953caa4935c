"""Watch a champion: what moved, which feeds broke, what to do, and doing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import HealthscoreError, SettingsError
from features.json_values import Json
from pipelines.monitor.alert import send_alert
from pipelines.monitor.findings import Findings, measure_findings
from pipelines.monitor.retrain import Retrained
from pipelines.monitor.retrain import retrain as train_challenger
from pipelines.monitor.rows import CurrentRows, current_rows
from pipelines.project.company import SILENCE_DAYS
from pipelines.project.project import Project

if TYPE_CHECKING:
    from models.drift.decision import Decision
    from models.drift.policy import DriftPolicy
    from models.drift.statistics import Drift
    from models.registry.checks import MonitorRecord
    from models.registry.versions import ChampionReference
    from models.scoring.health_model import HealthModel

WATCH, RETRAIN, BROKEN_FEED, KEPT = 10, 11, 12, 13
"""Exit codes; 0 stands for nothing to do, and for a challenger that was promoted."""
CODES = {"ok": 0, "watch": WATCH, "retrain": RETRAIN, "broken-feed": BROKEN_FEED}
STANDSTILL = timedelta(hours=20)


@dataclass(frozen=True)
class Since:
    """When something was first seen to have moved.

    Parameters
    ----------
    usual_on : date
        The last date known on which it had not: of an earlier check, or the newest one the
        champion learnt from.
    seen_on : date
        The first date of this and the checks right before it on which it had.
    """

    usual_on: date
    seen_on: date


@dataclass(frozen=True)
class Monitored:
    """One check of the champion.

    Parameters
    ----------
    outcome : str
        Name of the outcome.
    as_of : date
        The date that was looked at.
    source : str
        "tables" or the name of a feature table.
    model : HealthModel
        The champion.
    model_version : str
        Its version.
    kept : ChampionReference
        What it was taught with.
    findings : Findings
        What was measured.
    noticed : list of Drift
        What is worth a word.
    since : dict of (str, str) to Since
        Since when, by signal and segment, of what is noticed.
    decision : Decision
        What to do.
    policy : DriftPolicy
        By which it was decided.
    record : MonitorRecord
        What was written down.
    past : list of MonitorRecord
        Earlier checks, the newest first.
    retrained : Retrained or None
        What came of retraining.
    warnings : list of str
        One sentence each.
    """

    outcome: str
    as_of: date
    source: str
    model: HealthModel
    model_version: str
    kept: ChampionReference
    findings: Findings
    noticed: list[Drift]
    since: dict[tuple[str, str], Since]
    decision: Decision
    policy: DriftPolicy
    record: MonitorRecord
    past: list[MonitorRecord]
    retrained: Retrained | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """What the command returns to the shell."""
        if self.retrained is not None:
            return 0 if self.retrained.promoted else KEPT
        return CODES[self.decision.status]

    def to_dict(self) -> Json:
        """Return what ``monitor --json`` prints."""
        return {
            "outcome": self.outcome,
            "as_of": self.as_of.isoformat(),
            "source": self.source,
            "model_version": self.model_version,
            "status": self.decision.status,
            "exit_code": self.exit_code,
            "decision": self.decision.to_dict(),
            **self.findings.to_dict(),
            "since": [
                {
                    "name": name,
                    "segment": segment,
                    "usual_on": since.usual_on.isoformat(),
                    "seen_on": since.seen_on.isoformat(),
                }
                for (name, segment), since in self.since.items()
            ],
            "record": self.record.to_dict(),
            "retrained": None if self.retrained is None else self.retrained.to_dict(),
            "warnings": self.warnings,
        }


def monitor(
    project: Project,
    as_of: date | None,
    *,
    features: Path | None = None,
    retrain: bool = False,
) -> Monitored:
    """Check the champion on a date, record what was decided, and tell who wants to know.

    The decision is recorded whole before anything is done about it. Of two checks at the same
    time one is recorded, and the other stops.

    Parameters
    ----------
    project : Project
        The configuration.
    as_of : date or None
        The date; the day after the last row when None.
    features : Path, optional
        A feature table in place of the company's tables: without them, neither feeds nor outcomes
        are looked at.
    retrain : bool
        Whether a decision to retrain is carried out.

    Raises
    ------
    RegistryError
        When there is no champion, it was registered without a reference, the registry cannot be
        used, or another check came first.
    DataError
        When the date lies outside the data or before the champion's reference, or the rows cannot
        be read.
    SettingsError
        When retraining is asked for on a date long before the newest rows.
    """
    from models.drift.decision import decide, noticed
    from models.registry.checks import monitor_records, next_place, record_check

    place = project.registry_folder, project.settings.registry.model_name
    champion = project.registry.champion()
    model, version, model_run = champion.model, champion.version, champion.run_id
    kept = project.registry.reference(version)
    number = next_place(*place, model_run)
    past = monitor_records(*place)
    policy = project.settings.monitor
    with current_rows(project, model, as_of, features) as rows:
        if retrain:
            _refuse_old_date(rows)
        findings = measure_findings(project, model, version, kept, rows)
    moved = noticed(findings.statistics, policy)
    since = _since(moved, past, version, rows.as_of, kept.reference.dates[-1])
    decision = decide(
        findings.statistics,
        findings.faults,
        policy,
        trained_on=kept.known_until,
        matured=findings.matured,
        expected=findings.expected,
        since={place: one.seen_on for place, one in since.items()},
    )
    decision = _held_back(decision, past, version, rows.as_of, policy)
    record = record_check(
        *place,
        model_run,
        number,
        as_of=rows.as_of,
        model_version=version,
        status=decision.status,
        reasons=decision.reasons,
        drifted=tuple((drift.name, drift.segment) for drift in moved),
        found={"decision": decision.to_dict(), **findings.to_dict()},
    )
    checked = Monitored(
        outcome=project.outcome_name,
        as_of=rows.as_of,
        source=rows.source,
        model=model,
        model_version=version,
        kept=kept,
        findings=findings,
        noticed=moved,
        since=since,
        decision=decision,
        policy=policy,
        record=record,
        past=past,
        warnings=[*rows.warnings, *findings.notes, *_odd_times(rows, past, record)],
    )
    return _acted(project, checked, retrain=retrain)


def _held_back(
    decision: Decision,
    past: Sequence[MonitorRecord],
    version: str,
    as_of: date,
    policy: DriftPolicy,
) -> Decision:
    """Wait after a challenger that was not promoted as after a training."""
    tried = [
        record.as_of
        for record in past
        if record.model_version == version and record.challenger and record.promoted is False
    ]
    if decision.status != "retrain" or not tried:
        return decision
    days = (as_of - max(tried)).days
    if days >= policy.cool_down_days:
        return decision
    wait = (
        f"A challenger was trained on {max(tried)} and not promoted: the next is trained"
        f" {policy.cool_down_days} days later at the earliest."
    )
    return replace(decision, status="watch", reasons=(wait, *decision.reasons))


def _since(
    moved: Sequence[Drift],
    past: Sequence[MonitorRecord],
    version: str,
    as_of: date,
    learnt_until: date,
) -> dict[tuple[str, str], Since]:
    """Go back through the checks until one did not see it."""
    # Of several checks of a date the last one counts.
    by_date = {
        record.as_of: set(record.drifted)
        for record in sorted(past, key=lambda record: record.number)
        if record.model_version == version and record.as_of < as_of
    }
    since = {}
    for drift in moved:
        pair, first, usual = (drift.name, drift.segment), as_of, learnt_until
        for day in sorted(by_date, reverse=True):
            if pair not in by_date[day]:
                usual = max(day, learnt_until)
                break
            first = day
        since[pair] = Since(usual, first)
    return since


def _odd_times(
    rows: CurrentRows, past: Sequence[MonitorRecord], record: MonitorRecord
) -> list[str]:
    """Say where clocks or data went backwards, or stand still."""
    own = [one for one in past if one.model_version == record.model_version]
    if not own:
        return []
    notes = []
    last = max(own, key=lambda one: one.number)
    if last.made_at > record.made_at:
        notes.append(
            f"The clock of '{record.host}' stands at {record.made_at:%Y-%m-%d %H:%M} UTC, before"
            f" the last check ({last.made_at:%Y-%m-%d %H:%M}): correct it"
        )
    later = max(one.as_of for one in own)
    if later > rows.as_of:
        notes.append(f"An earlier check looked at {later}, and this one goes back to {rows.as_of}")
    elif last.as_of == rows.as_of and record.made_at - last.made_at > STANDSTILL:
        notes.append(
            f"The last check, at {last.made_at:%Y-%m-%d %H:%M} UTC, looked at {rows.as_of} too:"
            " where a newer day was expected, the feeds stand still"
        )
    return notes


def _refuse_old_date(rows: CurrentRows) -> None:
    if rows.company is None:
        return
    end = rows.company.data_end
    if rows.as_of < end - timedelta(days=SILENCE_DAYS):
        raise SettingsError(
            f"--retrain learns from all that is known, up to {end}, and --as-of looks back to"
            f" {rows.as_of}; leave one of them out, or set [source] data_end to replay that day"
        )


def _acted(project: Project, checked: Monitored, *, retrain: bool) -> Monitored:
    """Retrain where that was decided and wanted, then tell of it."""
    from models.registry.checks import note_retraining

    if retrain and checked.decision.status == "retrain":
        try:
            retrained = train_challenger(project)
        except HealthscoreError as error:
            _alerted(project, checked, failed=str(error))
            raise
        note_retraining(
            project.registry_folder,
            project.settings.registry.model_name,
            checked.record,
            challenger=retrained.challenger,
            promoted=retrained.promoted,
        )
        record = replace(
            checked.record, challenger=retrained.challenger, promoted=retrained.promoted
        )
        warnings = [*checked.warnings, *retrained.warnings]
        checked = replace(checked, retrained=retrained, record=record, warnings=warnings)
    return replace(checked, warnings=[*checked.warnings, *_alerted(project, checked)])


def _alerted(project: Project, checked: Monitored, *, failed: str | None = None) -> list[str]:
    message = {
        "kind": "healthscore.monitor",
        "sent_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "outcome": checked.outcome,
        "as_of": checked.as_of.isoformat(),
        "model": project.settings.registry.model_name,
        "model_version": checked.model_version,
        "status": checked.decision.status,
        "reasons": list(checked.decision.reasons),
        "faults": [fault.to_dict() for fault in checked.decision.faults],
        "retrained": None if checked.retrained is None else _result(checked.retrained),
        "retraining_failed": failed,
        "check": checked.record.run_id,
    }
    return send_alert(project.settings.alert, message, checked.record.run_id)


def _result(retrained: Retrained) -> Json:
    told = retrained.to_dict()
    return {name: told[name] for name in ("champion", "challenger", "promoted", "reasons")}
