"""Does the control panel stay quick, and small, over a million accounts?

A store of synthetic scores is written with the store's own writer, beside tables of accounts and
subscriptions. The real server reads it, and eight clients at once, in a process of their own, ask
for pages one after the other. The floor is the bare SQL query for the same rows, asked of one table
that holds scores, names and owners by as many threads of a process that keeps it open; a page also
counts and adds up what it shows, which the bare query does not.

    python benchmarks/panel.py [--quick] [--json] [--accounts N] [--requests N]

``list_ms``        median of a page of the list, in any of its orders, rendered, with all clients
``deep_ms``        the same from a random account on
``filter_ms``      the same of one band of one owner
``search_ms``      the same of accounts whose name or id holds a random text
``account_ms``     median of an account's page
``portfolio_ms``   median of the portfolio page
``…_p95_ms``       95th percentile of the same
``ratio_…``        the median as a multiple of that of the bare query
``…_cpu_ms``       the server's processor time for such a page, whoever else uses the machine
``…_cpu_p95_ms``   its 95th percentile over pages asked for one after the other
``list_refreshing_ms``  as ``list_ms``, while the server copies a newer run
``ready_seconds``  from the start of the server to its first page of scores
``serving_gib``    memory of the server after all of these
``peak_gib``       most memory of the server, a second copy of the run included
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import date
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import duckdb
import numpy as np
import pyarrow as pa

from pipelines.project.project import load_project
from pipelines.store.opening import open_store
from pipelines.store.runs import RunKey
from pipelines.store.schema import POINT_COLUMNS, SCORE_SCHEMA

ROOT = Path(__file__).resolve().parents[1]
CLIENTS = 8
OWNERS = 200
PLANS = ("starter", "growth", "enterprise")
SIGNALS = ("usage_28d", "active_users_28d", "tickets_open", "invoices_late", "nps_last", "seats")
BEFORE, DAY = date(2025, 12, 1), date(2026, 1, 1)
AT_RISK, WATCH = 0.07, 0.03
ROWS = 65_536
PATIENCE, ALONE = 900, 40
CONFIG = """\
[source]
url = "data"
[tables.accounts]
attributes = ["plan", "region"]
[tables.subscriptions]
[serve]
owner = "csm"
"""
SHOWN = "account_id, name, owner, segment, band, score, probability, coverage, mrr"
BARE = {
    "list": "true",
    "filter": "band = 'at-risk' and owner = 'Owner {owner}'",
    "search": "contains(lower(account_id || ' ' || name || ' ' || owner), '{word}')",
}
BARE_ACCOUNT = "select * from listed where account_id = '{account}'"
KINDS = ("list", "deep", "filter", "search", "account", "portfolio")
SORTS = {"score": "score", "probability": "probability", "stake": "probability * mrr", "arr": "mrr"}


def write_company(folder: Path, accounts: int) -> Path:
    """Write tables and a store, and return the configuration."""
    (folder / "data").mkdir(parents=True)
    with duckdb.connect() as engine:
        engine.execute("select setseed(0.5)").fetchall()
        engine.execute(
            f"copy (select printf('A-%08d', i) as account_id, timestamp '2024-01-01' as created_at,"
            " 'Account number ' || i || ' of ' || (i * 7919 % 9973) as name,"
            f" 'Owner ' || (i * 31 % {OWNERS}) as csm, {list(PLANS)}[1 + i % 3] as plan,"
            " ['EMEA', 'Americas', 'Asia'][1 + i // 3 % 3] as region"
            f" from range({accounts}) as t(i)) to '{folder}/data/accounts.parquet'"
        ).fetchall()
        engine.execute(
            "copy (select printf('A-%08d', i) as account_id, timestamp '2024-01-01' as started_at,"
            " null::timestamp as ended_at,"
            " timestamp '2026-01-10' + interval (i % 300) day as renewal_at"
            f" from range({accounts}) as t(i)) to '{folder}/data/subscriptions.parquet'"
        ).fetchall()
    config = folder / "healthscore.toml"
    config.write_text(CONFIG, encoding="utf-8")
    generator = np.random.default_rng(accounts)
    with open_store(load_project(config), read_only=False) as store:
        for day in (BEFORE, DAY):
            with store.issue(RunKey("main", day, "1"), dict.fromkeys(SIGNALS, "usage")) as writer:
                for start in range(0, accounts, ROWS):
                    writer.write(scores(generator, start, min(ROWS, accounts - start)))
                writer.finish({})
    return config


def write_bare(folder: Path) -> str:
    """Write the table that bare queries are asked of."""
    file = str(folder / "bare.duckdb")
    with duckdb.connect(file) as engine:
        engine.execute(f"attach '{folder}/scores.duckdb' as store (read_only)").fetchall()
        engine.execute(
            "create table listed as select rows.*, name, csm as owner from store.score_rows as rows"
            f" join read_parquet('{folder}/data/accounts.parquet') using (account_id)"
            " where run_id = (select max(run_id) from store.score_rows) order by account_id"
        ).fetchall()
    return file


def scores(generator: np.random.Generator, start: int, count: int) -> pa.RecordBatch:
    """Draw scores."""
    probability = generator.beta(0.8, 20, count).clip(1e-6)
    score = np.clip(50 - 10 * np.log2(probability / (1 - probability) / 0.035), 0, 100)
    band = np.where(probability > AT_RISK, "at-risk", "healthy")
    band = np.where((probability > WATCH) & (band == "healthy"), "watch", band)
    drawn = {
        "account_id": [f"A-{number:08d}" for number in range(start, start + count)],
        "segment": [f"plan={PLANS[number % 3]}" for number in range(start, start + count)],
        "score": score,
        "band": band,
        "grade": [""] * count,
        "probability": probability,
        "coverage": generator.uniform(0.4, 1, count).round(3),
        "baseline_score": np.full(count, 55.0),
        **{name: generator.normal(0, 3, count).round(3) for name in POINT_COLUMNS},
        "mrr": pa.array(
            np.where(generator.random(count) < 0.02, np.nan, generator.lognormal(6, 1, count)),
            from_pandas=True,
        ),
        "reason_signals": [list(SIGNALS[:5])] * count,
        "reason_points": generator.normal(0, 5, (count, 5)).round(2).tolist(),
        "reason_values": [["1,204", "3", None, "2", "9"]] * count,
    }
    beside = {
        "probability_if_due": probability,
        **{f"loss_{days}_days": probability * days / 365 for days in (30, 60, 90, 180, 365)},
        "days_to_renewal": generator.integers(0, 300, count),
        "band_days": generator.integers(0, 90, count),
    }
    return pa.RecordBatch.from_pydict({**drawn, **beside}, schema=SCORE_SCHEMA)


def addresses(kind: str, chance: random.Random, accounts: int) -> str:
    """Draw an address of a kind of page."""
    account = f"A-{chance.randrange(accounts):08d}"
    sort = f"sort={chance.choice([*SORTS, 'name', 'owner'])}&order={chance.choice(['asc', 'desc'])}"
    return {
        "list": f"/accounts?{sort}",
        "deep": f"/accounts?{sort}&after={account}",
        "filter": f"/accounts?{sort}&band=at-risk&owner=Owner+{chance.randrange(OWNERS)}",
        "search": f"/accounts?{sort}&q={chance.randrange(1000, 99_999)}",
        "account": f"/accounts/{account}",
        "portfolio": "/",
    }[kind]


def bare(kind: str, chance: random.Random, accounts: int) -> str:
    """Draw the bare query of a kind of page."""
    order = f"{SORTS[chance.choice(list(SORTS))]} {chance.choice(['asc', 'desc nulls last'])}"
    account = f"A-{chance.randrange(accounts):08d}"
    if kind == "account":
        return BARE_ACCOUNT.format(account=account)
    where = BARE[kind].format(owner=chance.randrange(OWNERS), word=chance.randrange(1000, 99_999))
    return f"select {SHOWN} from listed where {where} order by {order}, account_id limit 50"


def ask_pages(port: int, kind: str, accounts: int, requests: int) -> list[float]:
    """Ask for pages with all clients at once: seconds of each."""

    def client(number: int) -> Callable[[], None]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        chance = random.Random(number)

        def once() -> None:
            connection.request("GET", addresses(kind, chance, accounts))
            response = connection.getresponse()
            body = response.read()
            assert response.status == 200, (response.status, body[:300])

        return once

    return together(client, requests)


def ask_store(file: str, kind: str, accounts: int, requests: int) -> list[float]:
    """Ask the store itself with as many threads: seconds of each."""
    opened = duckdb.connect(file, read_only=True, config={"threads": 1})

    def client(number: int) -> Callable[[], None]:
        cursor, chance = opened.cursor(), random.Random(number)

        def once() -> None:
            cursor.execute(bare(kind, chance, accounts)).fetchall()

        return once

    return together(client, requests)


def together(client: Callable[[int], Callable[[], None]], requests: int) -> list[float]:
    """Run clients side by side, each asking again and again; its first request is not counted."""
    seconds: list[float] = []
    failed: list[BaseException] = []
    ready = threading.Barrier(CLIENTS)

    def run(number: int) -> None:
        try:
            once = client(number)
            once()
            ready.wait()
            for _ in range(requests):
                began = time.perf_counter()
                once()
                seconds.append(time.perf_counter() - began)
        except BaseException as error:
            failed.append(error)
            ready.abort()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return seconds


def elsewhere(ask: Callable[..., list[float]], *arguments: object) -> tuple[float, float]:
    """Ask from a process of its own, so that clients take no time from the server.

    Returns the median and the 95th percentile in milliseconds.
    """
    with get_context("spawn").Pool(1) as pool:
        seconds = pool.apply(ask, arguments)
    return 1000 * statistics.median(seconds), 1000 * float(np.quantile(seconds, 0.95))


def one_by_one(port: int, process: int, kind: str, accounts: int) -> float:
    """Ask for pages one after the other: the 95th percentile of processor time, in milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    chance, used = random.Random(99), []
    for _ in range(ALONE):
        before = nanoseconds(process)
        connection.request("GET", addresses(kind, chance, accounts))
        connection.getresponse().read()
        used.append((nanoseconds(process) - before) / 1e6)
    return float(np.quantile(used, 0.95))


def measure(accounts: int, requests: int) -> dict[str, float]:
    """Make the company, serve it, and ask."""
    with tempfile.TemporaryDirectory(prefix="panel-benchmark-") as folder:
        config = write_company(Path(folder) / "company", accounts)
        began = time.perf_counter()
        server = subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli", "serve", "-c", config, "--port", "0", "--json"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            port = int(json.loads(server.stdout.readline())["url"].rpartition(":")[2])
            wait_for_scores(port, server)
            found = {"accounts": accounts, "ready_seconds": time.perf_counter() - began}
            for kind in KINDS:
                used = cpu_seconds(server.pid)
                middle, high = elsewhere(ask_pages, port, kind, accounts, requests)
                asked = CLIENTS * (requests + 1)
                found |= {f"{kind}_ms": middle, f"{kind}_p95_ms": high}
                found[f"{kind}_cpu_ms"] = 1000 * (cpu_seconds(server.pid) - used) / asked
                found[f"{kind}_cpu_p95_ms"] = one_by_one(port, server.pid, kind, accounts)
            found["serving_gib"] = memory(server.pid, "VmRSS")
            file = write_bare(config.parent)
            for kind in (*BARE, "account"):
                floor, found[f"bare_{kind}_p95_ms"] = elsewhere(
                    ask_store, file, kind, accounts, requests
                )
                found[f"bare_{kind}_ms"] = floor
                found[f"ratio_{kind}"] = found[f"{kind}_ms"] / floor
            # Where the machine is busy this takes long: what is known by now is not lost.
            print(json.dumps(found), file=sys.stderr, flush=True)
            refreshing = threading.Thread(target=read_again, args=(port,))
            began = time.perf_counter()
            refreshing.start()
            found["list_refreshing_ms"] = elsewhere(ask_pages, port, "list", accounts, requests)[0]
            refreshing.join()
            found["refresh_seconds"] = time.perf_counter() - began
            found["peak_gib"] = memory(server.pid, "VmHWM")
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()
        return found


def read_again(port: int) -> None:
    """Have the server copy the newest run once more, while the earlier copy serves."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", "/api/v1/session")
    response = connection.getresponse()
    token = json.loads(response.read())["csrf_token"]
    cookie = (response.getheader("set-cookie") or "").partition(";")[0]
    headers = {"X-CSRF-Token": token, "Cookie": cookie}
    connection.request("POST", "/admin/refresh", headers=headers)
    assert connection.getresponse().status == 303


def cpu_seconds(process: int) -> float:
    """Return the processor time that a process has taken."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def nanoseconds(process: int) -> int:
    """Return the processor time that the living threads of a process have taken."""
    tasks = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(task.read_text(encoding="utf-8").split()[0]) for task in tasks)


def memory(process: int, what: str) -> float:
    """Return resident memory in GiB: ``VmRSS`` now, ``VmHWM`` at most."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in status if line.startswith(what)).split()[1]) / 2**20


def wait_for_scores(port: int, server: subprocess.Popen[str]) -> None:
    """Wait until the first snapshot is there."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and server.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", "/accounts")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.2)
    raise SystemExit("the panel did not show the scores")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="50,000 accounts, few requests")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--accounts", type=int)
    parser.add_argument("--requests", type=int, help="of each client and kind of page")
    given = parser.parse_args()
    accounts = given.accounts or (50_000 if given.quick else 1_000_000)
    found = measure(accounts, given.requests or (5 if given.quick else 25))
    found["load"] = os.getloadavg()[0]
    if given.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:24}{value:12,.2f}")


if __name__ == "__main__":
    main()
