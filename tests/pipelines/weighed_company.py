"""The trained company with weights somebody felt were right: built once for all tests of them."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path
from unittest.mock import patch

from pipelines.project.company import open_company
from pipelines.project.project import Project, load_project
from pipelines.weights import recommend as recommending
from pipelines.weights.recommend import Recommended
from pipelines.weights.rows import ReplayRows, replay_rows

SCORECARD = """[scorecard]
weights = { usage = 10, support = 10, payments = 10, surveys = 40, relationship = 30 }
red_below = 42
"""


@cache
def weighed_company(taught: Path) -> tuple[Project, ReplayRows]:
    """Copy the project, write weights into its configuration, and build the rows to replay."""
    folder = taught.parent / f"weighed-{os.getpid()}"
    shutil.copytree(taught, folder)
    config = folder / "healthscore.toml"
    text = config.read_text(encoding="utf-8")
    assert text.count("[scorecard]\n") == 1
    config.write_text(text.replace("[scorecard]\n", SCORECARD), encoding="utf-8")
    project = load_project(config)
    with open_company(project) as company:
        return project, replay_rows(project, company)


@cache
def recommended_for(taught: Path) -> Recommended:
    """Recommend weights to that company, from the rows that are at hand."""
    project, known = weighed_company(taught)
    with patch.object(recommending, "replay_rows", lambda *_: known):
        return recommending.recommend(project)
