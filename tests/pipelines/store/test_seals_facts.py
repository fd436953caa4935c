"""Facts of a run that were made unreadable are a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.errors import StoreError
from tests.pipelines.issued import batch, configured, issue
from tests.pipelines.store.seals_by_hand import checked, run_file, sql


def test_facts_that_are_no_object_are_a_sentence(tmp_path: Path) -> None:
    project = configured(tmp_path, "scores.duckdb")
    issue(project, batch(["A"]))
    for text in ("7", "{", "[" * 100_000):
        sql(project, None, f"update runs set facts = '{text}'")
        with pytest.raises(
            StoreError,
            match="holds facts of the scores of 2025-01-01 by model version '1' that are no JSON"
            " object, so they were changed since they were issued; put the store back from a copy",
        ):
            checked(project)


def test_deeply_nested_facts_of_a_folder_are_a_sentence(tmp_path: Path) -> None:
    project = configured(tmp_path, "scores/")
    issue(project, batch(["A"]))
    run_file(project, "1").write_text("[" * 100_000, "utf-8")
    with pytest.raises(StoreError, match=r"holds a run whose '.*_run.json' is broken"):
        checked(project)
