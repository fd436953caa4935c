"""Rows that the effects of plays are learnt from, as they were known on their dates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.errors import SettingsError
from pipelines.project.company import dated_events, open_company
from pipelines.project.project import Project
from pipelines.project.rows import LabelledRows, labelled_rows, segment_settings

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from features.outcomes.interventions import Acts
    from features.tables.company import Company
    from models.plays.effects import PlayRows

DUE = "decides_in_window"


@dataclass(frozen=True)
class ActedRows:
    """Rows with what was done about them.

    Parameters
    ----------
    rows : PlayRows
        What effects are learnt from.
    accounts, dates : int
        How many there are.
    landmark : int
        Days after a date by which nine of ten acts were made; outcomes count from there on.
    gone_before : int
        Rows left out since the account was gone by then.
    later : int
        Rows on which somebody acted after the days in which a team answers, and before the outcome
        was known; they count as left alone.
    notes : list of str
        What counts for nothing, one sentence each.
    """

    rows: PlayRows
    accounts: int
    dates: int
    landmark: int
    gone_before: int
    later: int
    notes: list[str]


def acted_rows(project: Project) -> ActedRows:
    """Build the rows of a project.

    Raises
    ------
    SettingsError
        When nobody records interventions, or the outcome is none that a play is to prevent.
    DataError, EvidenceError
        When the tables break the contract, or nothing has matured.
    """
    settings = project.settings
    if settings.outcome.kind != "churn":
        raise SettingsError(
            f"Plays are held against churn, and the outcome '{project.outcome_name}' is"
            f" {settings.outcome.kind}; name another with --outcome"
        )
    with open_company(project) as company:
        if "interventions" not in company.tables or not company.is_dated:
            raise SettingsError(
                "What plays do is learnt from the table interventions (account_id, occurred_at,"
                " play), which is not mapped; add [tables.interventions] to the configuration"
            )
        return acted_of(project, company, labelled_rows(project, company))


def acted_of(project: Project, company: Company, labelled: LabelledRows) -> ActedRows:
    """Bring together labelled rows and what was done about them.

    Parameters
    ----------
    project : Project
        The configuration.
    company : Company
        Its opened tables, with dated interventions.
    labelled : LabelledRows
        Its rows.
    """
    from features.outcomes.interventions import acts_after, treated_rows

    settings = project.settings
    acts = acts_after(company, labelled.frame, settings.plays.within_days, settings.plays.renamed)
    treated = treated_rows(company, settings.outcome, labelled.frame)
    assert acts is not None, "the table is there and dated"
    assert treated is not None, "the table is there and dated"
    here = _still_there(project, company, labelled.frame, acts.landmark)
    return _arranged(project, labelled, acts, treated, here)


def _still_there(
    project: Project, company: Company, frame: pd.DataFrame, landmark: int
) -> NDArray[np.bool_]:
    """Mark rows whose account was not gone before the days in which a team acts were over.

    Whoever leaves before anybody could act would otherwise count as left alone, and make acting
    look good (landmarks: Anderson, Cain and Gelber 1983, "Analysis of survival by tumor response").
    """
    import numpy as np
    import pandas as pd

    here = np.ones(len(frame), dtype=bool)
    events = dated_events(company, project.settings.outcome)
    if landmark <= project.settings.outcome.lead_days or events is None or events.empty:
        return here
    rows = frame[["account_id", "observation_date"]].reset_index(drop=True)
    pairs = rows.reset_index(names="row").merge(
        events.astype({"account_id": rows["account_id"].dtype}), on="account_id"
    )
    after = pairs["happened_at"].astype("datetime64[us]") - pairs["observation_date"].astype(
        "datetime64[us]"
    )
    gone = (after >= pd.Timedelta(0)) & (after < pd.Timedelta(days=landmark))
    here[pairs["row"][gone].to_numpy()] = False
    return here


def _arranged(
    project: Project,
    labelled: LabelledRows,
    acts: Acts,
    treated: NDArray[np.bool_],
    here: NDArray[np.bool_],
) -> ActedRows:
    import numpy as np

    from models.churn.segments import assign_segments
    from models.plays.effects import PlayRows
    from models.scoring.health_model import model_input

    frame = labelled.frame
    segments = assign_segments(frame, segment_settings(project, labelled.signals))
    inputs = model_input(frame, labelled.signals, segments)
    inputs = inputs.assign(**{str(name): acts.before[name].to_numpy() for name in acts.before})
    if labelled.decisions is not None:
        inputs[DUE] = labelled.decisions.due(frame).astype(float)
    # Constant columns say nothing and would only be carried along.
    acted = {play: ~np.isnan(days) for play, days in acts.days.items() if not np.isnan(days).all()}
    in_time = np.any(list(acted.values()), axis=0) if acted else np.zeros(len(frame), dtype=bool)
    dates = frame["observation_date"].to_numpy().astype("datetime64[D]").astype(np.intp)
    return ActedRows(
        rows=PlayRows(
            inputs=inputs[here].reset_index(drop=True),
            accounts=frame["account_id"].to_numpy(dtype=object)[here],
            days=dates[here],
            happened=frame["happened"].to_numpy(dtype=float)[here],
            acted={play: made[here] for play, made in acted.items() if made[here].any()},
        ),
        accounts=int(frame["account_id"].nunique()),
        dates=int(frame["observation_date"].nunique()),
        landmark=acts.landmark,
        gone_before=int((~here).sum()),
        later=int((treated & ~in_time & here).sum()),
        notes=[*labelled.problems, *acts.notes],
    )
