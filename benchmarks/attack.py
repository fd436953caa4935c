"""Do kills, changes past the program and curious users come through?

A simulated company is trained, scored and watched with real processes on this machine alone.
Whole jobs are killed (``kill -9``) at random moments over a DuckDB file, a folder of Parquet and,
where a PostgreSQL server is installed, a server of its own; after each kill the champion must load,
every run issued before must fit its seal, and at the end each job must run through. Before that,
stores and model files are changed at random, and each change must be noticed. Last, a user who is
limited to one owner asks the served panel for everything, then again beside 600 half-sent requests.

    python benchmarks/attack.py [--quick] [--json] [--kills N] [--tampers N] [--requests N]

``kills``, ``kills_survived``      jobs killed, and after how many of them all was sound
``tampers``, ``tampers_noticed``   changes, and how many of them were noticed
``requests``, ``leaks``            pages asked for, and accounts of other owners they told of
``stores``                         how many kinds of store were attacked
``jobs``                           how many kills each job got
``half_open``, ``half_open_seconds``  requests half sent, and the slowest page beside them
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import duckdb
from _half_open import seconds_beside
from _tampering import tamper_duckdb, tamper_model, tamper_parquet, tamper_postgres

from features.errors import HealthscoreError
from models.scoring.file_seal import seal_of
from pipelines.project.project import Project, load_project
from pipelines.scoring.verify.seals import verify_store
from pipelines.store.opening import open_store

ROOT = Path(__file__).resolve().parents[1]
ACCOUNTS, MONTHS = 400, 15
PATIENCE = 900
Figures = dict[str, int | float | dict[str, int]]
JOBS = {
    "score": ("score", "--force"),
    "recommend": ("recommend",),
    "monitor": ("monitor", "--retrain"),
    "train": ("train",),
}
# Most kills go to what writes scores; of the others each still gets a share.
SHARES = ("score", "score", "recommend", "monitor", "score", "train")
USER, HEADER = "ben", "X-Forwarded-User"
# Simulated accounts have no owners; any column may say whose an account is.
OWNER = "industry"


def command(*arguments: object) -> list[str]:
    """Return a command of the program."""
    start = "from pipelines.cli import main; main()"
    return [sys.executable, "-c", start, *map(str, arguments)]


def run(*arguments: object, codes: tuple[int, ...] = (0,)) -> float:
    """Run a command to its end and return its seconds."""
    began = time.perf_counter()
    done = subprocess.run(
        command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE
    )
    if done.returncode not in codes:
        raise SystemExit(f"{arguments} ended with {done.returncode}: {done.stderr[-800:]}")
    return time.perf_counter() - began


@contextmanager
def postgres_server() -> Iterator[Any]:
    """Start a PostgreSQL server of its own; None where none is installed."""
    from tests.features.servers import postgres_programs, running_postgres

    if postgres_programs() is None:
        yield None
        return
    with running_postgres() as server:
        yield server


def prepare(folder: Path, server: Any) -> dict[str, Project]:
    """Simulate a company, train a champion and issue two runs into each store."""
    run("simulate", folder / "data", "--accounts", ACCOUNTS, "--months", MONTHS)
    run("init", folder / "data", "-c", folder / "drafted.toml")
    text = (folder / "drafted.toml").read_text("utf-8")
    urls = {"duckdb": "scores.duckdb", "parquet": "scores/"}
    if server is not None:
        urls["postgres"] = server.url(schema="attacked")
    projects = {}
    for kind, url in urls.items():
        config = folder / f"{kind}.toml"
        config.write_text(with_sections(text, url), "utf-8")
        projects[kind] = load_project(config)
    run("train", "-c", projects["duckdb"].path)
    for project in projects.values():
        run("score", "-c", project.path)
        run("score", "--force", "-c", project.path)
    return projects


def with_sections(text: str, url: str) -> str:
    """Return a configuration with a store and a panel behind a proxy in place of its own."""
    sections = text.split("\n[")
    rest = [part for part in sections if not part.startswith(("store]", "serve]"))]
    store = f"store]\nurl = {json.dumps(url)}\n"
    serve = f'serve]\nowner = "{OWNER}"\nproxy_header = "{HEADER}"\n'
    return "\n[".join([*rest, store, serve + 'trusted_proxies = ["127.0.0.1/32"]\n'])


def is_sound(project: Project, before: list[str]) -> bool:
    """Whether the champion loads, and all that was issued before is as it was."""
    try:
        project.registry.champion()
        with open_store(project, read_only=True) as store:
            seals = [seal.seal for seal in store.seals()]
        return seals[: len(before)] == before and verify_store(project).same
    except HealthscoreError as error:
        print(f"  not sound: {error}", file=sys.stderr)
        return False


def seals_of(project: Project) -> list[str]:
    """List the seals of a store."""
    with open_store(project, read_only=True) as store:
        return [seal.seal for seal in store.seals()]


def cut_short(job: tuple[str, ...], project: Project, seconds: float) -> bool:
    """Start a job and kill it after some seconds; False where it had ended before."""
    process = subprocess.Popen(
        command(*job, "-c", project.path),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


def kill_jobs(projects: dict[str, Project], kills: int, random: Random) -> Figures:
    """Kill jobs at random moments, and run each to its end when all is done."""
    seconds: dict[str, float] = {}
    survived = killed = 0
    jobs: Counter[str] = Counter()
    # Whether to retrain, and whether the challenger won, is no matter here.
    codes = (0, 10, 11, 12, 13)
    for number in count():
        if killed == kills:
            break
        kind = list(projects)[number % len(projects)]
        name = SHARES[number // len(projects) % len(SHARES)]
        project = projects[kind]
        if name not in seconds:
            seconds[name] = run(*JOBS[name], "-c", project.path, codes=codes)
        before = seals_of(project)
        was_killed = cut_short(JOBS[name], project, random.uniform(0.1, 1.0) * seconds[name])
        sound = is_sound(project, before)
        if was_killed:
            killed += 1
            jobs[name] += 1
            survived += sound
        elif not sound:
            raise SystemExit(f"{name} over {kind} ended by itself, and left what is not sound")
        print(f"  {killed} of {kills}: {name}, {kind}", file=sys.stderr, flush=True)
    for project in projects.values():
        for name in seconds:
            run(*JOBS[name], "-c", project.path, codes=codes)
    return {"kills": killed, "kills_survived": survived, "jobs": dict(jobs)}


def tamper(
    projects: dict[str, Project], folder: Path, server: Any, tampers: int, random: Random
) -> Figures:
    """Change stores and model files at random."""
    model = projects["duckdb"].registry.champion().model
    files = folder / "model" / "sealed"
    model.save(files)
    seal = seal_of(files)
    noted = {kind: verify_store(project).newest or "" for kind, project in projects.items()}
    kinds = [*projects, "model"]
    noticed = 0
    for number in range(tampers):
        kind = kinds[number % len(kinds)]
        if kind == "model":
            noticed += tamper_model(files, seal, random)
        elif kind == "duckdb":
            noticed += tamper_duckdb(projects[kind], random, noted[kind])
        elif kind == "parquet":
            noticed += tamper_parquet(projects[kind], random, noted[kind])
        else:
            noticed += tamper_postgres(projects[kind], random, noted[kind], server)
    return {"tampers": tampers, "tampers_noticed": noticed}


def ask_panel(project: Project, requests: int, random: Random) -> Figures:
    """Ask the panel as a user who is limited to one owner, and count accounts of others."""
    data = project.folder / "data" / "accounts.parquet"
    with duckdb.connect() as engine:
        rows = engine.execute(f"select account_id, {OWNER} from '{data}'").fetchall()
    owner = next(owner for _, owner in rows if owner)
    foreign = [account for account, other in rows if other != owner]
    run("user", "add", USER, "--owner", owner, "--no-password", "-c", project.path)
    server = subprocess.Popen(
        command("serve", "-c", project.path, "--port", "0", "--json"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        port = int(json.loads(server.stdout.readline())["url"].rpartition(":")[2])
        wait_for(port)
        leaks = sum(leaked(port, page, foreign) for page in pages(foreign, requests, random))
        half_open, slowest = seconds_beside(port, lambda: answer(port, "/")[0], 20)
    finally:
        server.terminate()
        server.wait()
    return {
        "requests": requests,
        "leaks": leaks,
        "half_open": half_open,
        "half_open_seconds": round(slowest, 3),
    }


def pages(foreign: list[str], requests: int, random: Random) -> Iterator[str]:
    """Draw addresses: lists in any order and filter, and accounts of other owners."""
    for _ in range(requests):
        account = quote(random.choice(foreign), safe="")
        query = {
            "sort": random.choice(["score", "probability", "stake", "mrr", "name", "x'--"]),
            "search": random.choice(["", account, "%", "' or 1=1 --"]),
            "page_size": random.choice(["50", "1000"]),
        }
        listed = urlencode({name: value for name, value in query.items() if random.random() < 0.5})
        yield random.choice(
            [
                f"/api/v1/accounts?{listed}",
                f"/accounts?{listed}",
                f"/accounts.csv?{listed}",
                "/",
                f"/accounts/{account}",
                f"/accounts/{account}/details",
                f"/api/v1/accounts/{account}",
                f"/api/v1/accounts/{account}/history",
                f"/api/v1/accounts/{account}/explanation",
            ]
        )


def answer(port: int, page: str) -> tuple[int, str]:
    """Ask for a page as the limited user."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", page, headers={HEADER: USER})
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8", "replace")
    finally:
        connection.close()


def leaked(port: int, page: str, foreign: list[str]) -> bool:
    """Whether a page tells of an account of another owner beyond what was asked of it."""
    status, text = answer(port, page)
    told = text.replace(page, "")
    return status < 400 and any(account in told and account not in page for account in foreign)


def wait_for(port: int) -> None:
    """Wait until the panel shows scores."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        status, text = answer(port, "/api/v1/accounts")
        if status == 200 and json.loads(text).get("total"):
            return
        time.sleep(0.5)
    raise SystemExit("the panel shows no scores")


def measure(kills: int, tampers: int, requests: int, seed: int) -> Figures:
    """Attack a company in a folder that is taken away afterwards."""
    random = Random(seed)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="attack-")))
        server = held.enter_context(postgres_server())
        projects = prepare(folder, server)
        found: Figures = {"stores": len(projects)}
        found |= tamper(projects, folder, server, tampers, random)
        found |= kill_jobs(projects, kills, random)
        return found | ask_panel(projects["duckdb"], requests, random)


def main() -> None:
    """Attack, and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few attacks, about a minute")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--kills", type=int)
    parser.add_argument("--tampers", type=int)
    parser.add_argument("--requests", type=int)
    parser.add_argument("--seed", type=int, default=16)
    asked = parser.parse_args()
    found = measure(
        asked.kills or (3 if asked.quick else 50),
        asked.tampers or (40 if asked.quick else 200),
        asked.requests or (60 if asked.quick else 600),
        asked.seed,
    )
    if asked.json:
        print(json.dumps(found))
        return
    print(f"Kills survived    {found['kills_survived']} of {found['kills']}")
    print(f"Changes noticed   {found['tampers_noticed']} of {found['tampers']}")
    print(f"Leaks             {found['leaks']} in {found['requests']} requests")
    print(
        f"Half-sent         {found['half_open']}, a page in {found['half_open_seconds']} s at most"
    )
    print(f"Kinds of store    {found['stores']}")


if __name__ == "__main__":
    main()
