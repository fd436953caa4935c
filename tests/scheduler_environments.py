"""Load the schedulers' examples by their own libraries, each in an environment of its own.

    python tests/scheduler_environments.py [airflow] [dagster]

The environments are made as ``.venv-airflow`` and ``.venv-dagster`` from hashed pins, which clash
with ours. In place of ``healthscore`` stands a program that writes down how it was called and ends
with the exit code that is asked for.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = {"airflow": "airflow_dag.py", "dagster": "dagster_definitions.py"}
# The first command ends well, so that what follows it is seen.
FAKE = """\
#!/bin/sh
echo "$@" >> "$HEALTHSCORE_CALLS"
case "$1" in
    monitor) exit "$HEALTHSCORE_FAKE" ;;
    score) if [ "$HEALTHSCORE_FAKE" = 5 ]; then exit 5; fi ;;
esac
"""


def python_of(name: str) -> Path:
    """Where the interpreter of a scheduler's environment is, or would be."""
    return ROOT / f".venv-{name}" / "bin" / "python"


def build(name: str) -> None:
    """Install a scheduler, where it is not installed yet."""
    python = python_of(name)
    if (python.parent / name).exists():
        return
    folder = python.parents[1]
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pins = ROOT / f"requirements-{name}.txt"
    install = ["-m", "pip", "-qq", "install", "--no-deps", "--require-hashes", "-r", pins]
    subprocess.run([python, *install], check=True)


def loaded(name: str, python: Path) -> tuple[dict[str, Any], list[str]]:
    """Return what a scheduler found in its example, and how ``healthscore`` was called."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        calls, program = folder / "calls", folder / "bin" / "healthscore"
        calls.touch()
        program.parent.mkdir()
        program.write_text(FAKE, encoding="utf-8")
        program.chmod(0o755)
        own = {
            "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": scratch,
            "HEALTHSCORE_CALLS": str(calls),
            "HEALTHSCORE_CONFIG": "company.toml",
            "AIRFLOW_HOME": str(folder / "airflow"),
            "DAGSTER_HOME": "",
            "DO_NOT_TRACK": "1",
        }
        ran = subprocess.run(
            [
                python,
                ROOT / "tests" / "schedulers" / f"in_{name}.py",
                ROOT / "examples" / EXAMPLES[name],
            ],
            env={**os.environ, **own},
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise RuntimeError(f"{name} could not load its example:\n{ran.stderr[-3000:]}")
        lines = calls.read_text(encoding="utf-8").splitlines()
        return json.loads(ran.stdout.splitlines()[-1]), lines


def main() -> None:
    for name in sys.argv[1:] or EXAMPLES:
        build(name)
        found, calls = loaded(name, python_of(name))
        print(f"{name}: loaded, healthscore was called {len(calls)} times")
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
