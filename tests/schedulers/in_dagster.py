"""Load the definitions with Dagster, run the job for each exit code, and print which steps ran."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg


def main(example: Path) -> None:
    spec = importlib.util.spec_from_file_location("example", example)
    module = importlib.util.module_from_spec(spec)
    sys.modules["example"] = module
    spec.loader.exec_module(module)
    dg.Definitions.validate_loadable(module.defs)
    job = module.defs.get_job_def("healthscore_daily")
    leads = {}
    for code in (0, 10, 11, 12, 13):
        os.environ["HEALTHSCORE_FAKE"] = str(code)
        config = {"ops": {"score": {"config": {"as_of": "2026-03-01"}}}}
        ran = job.execute_in_process(run_config=config, raise_on_error=False)
        events = ran.all_node_events
        ended = {
            event.step_key: event.event_type_value
            for event in events
            if event.event_type_value in ("STEP_SUCCESS", "STEP_FAILURE")
        }
        leads[str(code)] = {"success": ran.success, "steps": ended}
    schedule = module.defs.get_schedule_def("every_morning")
    due = datetime(2026, 3, 1, 5, tzinfo=UTC)
    context = dg.build_schedule_context(scheduled_execution_time=due)
    request = schedule.evaluate_tick(context).run_requests[0]
    print(json.dumps({"leads": leads, "run_config": request.run_config, "key": request.run_key}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
