"""What a champion was judged on, for the tests of the appendix."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from models.registry.models import Registry
from models.registry.versions import load_holdout
from pipelines.project.company import dated_events, open_company
from pipelines.project.project import load_project
from pipelines.project.rows import labelled_rows
from pipelines.weights.evidence import report_evidence

SEED = 7


@pytest.fixture(scope="session")
def known(taught):
    """What a champion was judged on, and the evidence, with an attribute that is sensitive."""
    project = load_project(taught.config)
    folder, name = project.registry_folder, project.settings.registry.model_name
    registered = Registry(folder, name).champion()
    model, version = registered.model, registered.version
    holdout = load_holdout(folder, name, version)
    with open_company(project) as company:
        rows = labelled_rows(project, company)
        frame, signals = rows.frame, rows.signals
        frame = frame.assign(segment=model.segments.assign(frame), arr=np.nan)
        frame = frame[model.timing.decisions.due(frame)].reset_index(drop=True)
        names = ["account_id", "observation_date", "probability", "score"]
        said = holdout.loc[holdout["due"], names]
        rows = frame.merge(said, on=["account_id", "observation_date"], validate="one_to_one")
        events = dated_events(company, project.settings.outcome)
        own = project.settings.signals.model_copy(update={"sensitive": ("plan",)})
        asked = replace(project, settings=project.settings.model_copy(update={"signals": own}))

        given = {
            "company": company,
            "project": asked,
            "model": model,
            "rows": rows,
            "frame": frame,
            "signals": signals,
            "events": events,
        }

        def ask(**other):
            return report_evidence(*(given | other).values(), seed=SEED)

        yield SimpleNamespace(**given, ask=ask, found=ask())
