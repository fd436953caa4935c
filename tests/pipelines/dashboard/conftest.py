"""The panel over a small company, shared by the tests that only look."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from pipelines.project.project import Project
from tests.pipelines.dashboard.served import Served, company, issue_scores, served, users_of


@pytest.fixture
def bare(tmp_path: Path) -> Project:
    """A company with scores, whose panel nobody has to log in to."""
    project = company(tmp_path / "company")
    issue_scores(project)
    return project


@pytest.fixture
def empty(tmp_path: Path) -> Project:
    """A company without scores: whom the panel lets in does not depend on them."""
    return company(tmp_path / "company", 5)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running panel with users, scores of two dates and of two outcomes."""
    project = company(tmp_path_factory.mktemp("panel") / "company")
    issue_scores(project, seed=5, day=date(2024, 12, 1))
    issue_scores(project)
    issue_scores(project, seed=2, outcome="growth")
    users_of(project)
    with served(project) as running:
        yield running
