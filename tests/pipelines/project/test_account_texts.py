"""What the accounts table says today, of columns that are mapped and of those that are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.errors import DataError
from pipelines.project.account_texts import account_texts, lost_owners
from pipelines.project.project import load_project

CONFIG = """
[source]
url = "data"
[tables.accounts]
name = "label"
attributes = ["plan"]
[tables.churn_events]
[serve]
owner = "csm"
"""


def test_owners_are_found_though_they_are_no_attribute(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "accounts.csv").write_text(
        "account_id,created_at,label,plan,csm\nA,2024-01-01,Acme,pro,Ana\nB,2024-01-01,,pro,\n"
    )
    (data / "churn_events.csv").write_text("account_id,churned_at\nA,2024-06-01\n")
    (tmp_path / "healthscore.toml").write_text(CONFIG)
    project = load_project(tmp_path / "healthscore.toml")
    assert account_texts(project, ["A", "B"], "csm") == {"A": "Ana"}
    assert account_texts(project, None, "plan") == {"A": "pro", "B": "pro"}
    assert account_texts(project, ["B"], "csm") == account_texts(project, [], "csm") == {}
    assert account_texts(project, None, "name") == {"A": "Acme"}
    assert account_texts(project, None, None) == {}
    assert lost_owners(project, ["Ana", "Ann"]) == ["Ann"]
    with pytest.raises(DataError, match="csn"):
        account_texts(project, None, "csn")
