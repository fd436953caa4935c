"""Measurements in processes of their own, each remembered once it is done."""

from __future__ import annotations

import ast
import hashlib
import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# What is measured, and the module that does it.
MEASUREMENTS = {
    "write_company": "_companies",
    "healthscore": "_product",
    "whole_training": "_product",
    "one_fit": "_product",
    "plain_lightgbm": "_product",
    "peer": "_contest",
    "write_drawn": "_drawn_company",
    "plain_peers": "_plain_peers",
    "first_models": "_first_models",
    "public_data": "_public_data",
}


class Runs:
    """Runs what has not been measured yet.

    A finished measurement becomes a line of ``file``; it counts for as long as none of the
    project's code it ran has changed, comments and docstrings aside. Companies are kept beside
    the file, or in ``scratch`` where there is none; ``write`` is the measurement that makes one.
    """

    def __init__(
        self, file: Path | None, scratch: Path, threads: int, write: str = "write_company"
    ) -> None:
        self._making = write
        self.failed: list[str] = []
        self._file, self._threads, self._scratch = file, threads, scratch
        self._companies = scratch if file is None else file.with_name(f"{file.name}.companies")
        self._companies.mkdir(parents=True, exist_ok=True)
        self._done: dict[str, dict[str, Any]] = {}
        if file is not None and file.exists():
            text = file.read_text(encoding="utf-8")
            for line in text.splitlines():
                self._remember(line)
            if text and not text.endswith("\n"):
                with file.open("a", encoding="utf-8") as lines:
                    lines.write("\n")

    def on_company(
        self, what: str, company: tuple[int, int], **arguments: Any
    ) -> dict[str, Any] | None:
        """Measure on a company, named by its accounts and its seed; None where that failed."""
        accounts, seed = company
        folder = self._companies / f"{accounts}_{seed}"
        written = self._done.get(_key(self._making, company=company)) or self._write(company)
        if written is None:
            return None
        # Found again only on the same rows, whatever has become of the code that made them.
        key = _key(what, company=company, content=written["content"], **arguments)
        if key in self._done:
            return self._done[key]
        if not folder.is_dir() and self._write(company) is None:
            return None
        told = {"folder": str(folder), "threads": self._threads, **arguments}
        return self._run(key, f"{what} on {accounts:,} accounts, seed {seed}", what, told)

    def alone(self, what: str, **arguments: Any) -> dict[str, Any] | None:
        """Measure what needs no company."""
        key = _key(what, **arguments)
        return self._done[key] if key in self._done else self._run(key, what, what, arguments)

    def _write(self, company: tuple[int, int]) -> dict[str, Any] | None:
        accounts, seed = company
        folder = self._companies / f"{accounts}_{seed}"
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        told = {"folder": str(unfinished), "accounts": accounts, "seed": seed}
        key = _key(self._making, company=company)
        found = self._run(key, f"company of {accounts:,} accounts, seed {seed}", self._making, told)
        if found is not None:
            shutil.rmtree(folder, ignore_errors=True)
            unfinished.rename(folder)
        return found

    def _run(
        self, key: str, said: str, what: str, arguments: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Run a child process; its answer is remembered under the key."""
        said = ": ".join([said, *filter(None, [arguments.get("name")])])
        print(f"{time.strftime('%H:%M:%S')} {said} …", end=" ", file=sys.stderr, flush=True)
        answer = self._scratch / "answer.json"
        answer.unlink(missing_ok=True)
        log = self._scratch / "log.txt"
        threads = {"OMP_NUM_THREADS": str(self._threads), "OMP_WAIT_POLICY": "PASSIVE"}
        with log.open("wb") as output:
            done = subprocess.run(
                [sys.executable, __file__, what, json.dumps(arguments), str(answer)],
                env=os.environ | threads,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        if done.returncode:
            print(f"failed with status {done.returncode}", file=sys.stderr)
            print(log.read_text(encoding="utf-8", errors="replace")[-2_000:], file=sys.stderr)
            self.failed.append(said)
            return None
        entry = {"key": key, **json.loads(answer.read_text(encoding="utf-8"))}
        found: dict[str, Any] = entry["found"]
        print(f"{found['seconds_all']:.0f} s, {found['peak_gib']:.2f} GiB", file=sys.stderr)
        self._done[key] = found
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(entry) + "\n")
        return found

    def _remember(self, line: str) -> None:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            # The last line of a run that was killed while writing it.
            return
        sources = entry["sources"].items()
        if all(_fingerprint(ROOT / name) == known for name, known in sources):
            self._done[entry["key"]] = entry["found"]
        else:
            self._done.pop(entry["key"], None)


def _key(what: str, **arguments: Any) -> str:
    return json.dumps({"what": what, **arguments})


def _fingerprint(path: Path) -> str | None:
    if not path.exists():
        return None
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


def _sources() -> dict[str, str | None]:
    """Fingerprint the project's modules this process has imported, this one aside."""
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    ours = [Path(file).resolve() for file in files if file and file != __file__]
    inside = sorted(path for path in ours if path.is_relative_to(ROOT) and path.suffix == ".py")
    return {path.relative_to(ROOT).as_posix(): _fingerprint(path) for path in inside}


def main(what: str, arguments: str, answer: str) -> None:
    """Measure in this process and write the answer."""
    sys.path.insert(0, str(ROOT))
    told = json.loads(arguments)
    if "folder" in told:
        told["folder"] = Path(told["folder"])
    began = time.perf_counter()
    found = getattr(importlib.import_module(MEASUREMENTS[what]), what)(**told)
    found["seconds_all"] = time.perf_counter() - began
    found["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    entry = {"found": found, "sources": _sources()}
    Path(answer).write_text(json.dumps(entry), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
