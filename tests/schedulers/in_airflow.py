"""Load the DAG with Airflow, and print what it holds and where each exit code leads."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import DAG


def main(example: Path) -> None:
    spec = importlib.util.spec_from_file_location("example", example)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.healthscore_daily()
    assert isinstance(made, DAG)
    made.check_cycle()
    day = datetime(2026, 3, 1, 5, tzinfo=UTC)
    leads = {}
    for code in (0, 10, 11, 12, 13, 5):
        os.environ["HEALTHSCORE_FAKE"] = str(code)
        for name in ("score", "monitor"):
            call = made.get_task(name).python_callable
            try:
                leads[f"{name} {code}"] = call(data_interval_end=day)
            except RuntimeError as error:
                leads[f"{name} {code}"] = f"failed: {error}"
    try:
        made.get_task("repair_the_feed").python_callable()
    except RuntimeError as error:
        leads["repair_the_feed"] = f"failed: {error}"
    edges = {task.task_id: sorted(task.downstream_task_ids) for task in made.tasks}
    print(json.dumps({"dag": made.dag_id, "edges": edges, "leads": leads}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
