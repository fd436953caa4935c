"""Servers that take scores as HubSpot, Salesforce and one's own do, and fail on order."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

TOKEN, SECRET = "a-token", "p@ss ü"


@dataclass
class Crm:
    """What a server holds, and how it fails: one fault for each request, then none."""

    url: str = ""
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)
    is_strict: bool = False
    requests: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    keys: dict[str, int] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=lambda: [TOKEN])
    victim: int = 0
    free: threading.Event = field(default_factory=threading.Event)

    def apply(self, account: str, values: dict[str, Any]) -> None:
        self.records.setdefault(account, {}).update(values)


class _Handler(BaseHTTPRequestHandler):
    crm: Crm

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        crm = self.crm
        body = self.rfile.read(int(self.headers["Content-Length"]))
        form = self.headers["Content-Type"] == "application/x-www-form-urlencoded"
        said = parse_qs(body.decode()) if form else json.loads(body)
        crm.requests.append((self.command, self.path, dict(self.headers), said))
        fault = crm.faults.pop(0) if crm.faults else ""
        if fault == "hang":
            crm.free.wait(20)
            return
        if fault == "drop":
            self.connection.close()
            return
        if fault.isdigit():
            self._answer(int(fault), {"message": "not now"}, {"Retry-After": "0"})
            return
        status, told = self._taken(said, body)
        if fault == "kill":
            os.kill(crm.victim, signal.SIGKILL)
        if fault in ("half", "kill"):
            # All of it was taken, and half of the answer is sent.
            text = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text[: len(text) // 2])
            self.close_connection = True
            return
        self._answer(status, told)

    do_PATCH = do_POST  # noqa: N815

    def _answer(self, status: int, told: Any, headers: dict[str, str] | None = None) -> None:
        text = json.dumps(told).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _taken(self, said: Any, body: bytes) -> tuple[int, Any]:
        crm = self.crm
        if self.path == "/services/oauth2/token":
            crm.tokens.append(f"given-{len(crm.tokens)}")
            return 200, {"access_token": crm.tokens[-1]}
        if self.path.startswith("/own"):
            return self._own(said, body)
        if self.headers["Authorization"] != f"Bearer {crm.tokens[-1]}":
            return 401, {"message": "unknown token"}
        key = self.headers["Idempotency-Key"]
        crm.keys[key] = crm.keys.get(key, 0) + 1
        if self.path == "/crm/v3/objects/companies/batch/upsert":
            return self._hubspot(said["inputs"])
        assert self.path == "/services/data/v61.0/composite/sobjects/Account/Ext__c"
        assert self.command == "PATCH"
        assert said["allOrNone"] is False
        return 200, [self._record(one) for one in said["records"]]

    def _hubspot(self, inputs: list[dict[str, Any]]) -> tuple[int, Any]:
        crm = self.crm
        assert len(inputs) <= 100
        bad = [one for one in inputs if one["id"] in crm.bad]
        if bad and crm.is_strict:
            return 400, {"message": crm.bad[bad[0]["id"]]}
        good = [one for one in inputs if one["id"] not in crm.bad]
        for one in good:
            assert one["idProperty"] == "hs_account"
            crm.apply(one["id"], one["properties"])
        errors = [
            {
                "message": crm.bad[one["id"]],
                "context": {"objectWriteTraceId": [one["objectWriteTraceId"]]},
            }
            for one in bad
        ]
        results = [{"id": str(number)} for number, _ in enumerate(good)]
        told = {"status": "COMPLETE", "results": results, "numErrors": len(bad), "errors": errors}
        return (207 if bad else 200), told

    def _record(self, record: dict[str, Any]) -> dict[str, Any]:
        assert record.pop("attributes") == {"type": "Account"}
        account = record.pop("Ext__c")
        if account in self.crm.bad:
            return {"success": False, "errors": [{"message": self.crm.bad[account]}]}
        self.crm.apply(account, record)
        return {"id": account, "success": True, "errors": []}

    def _own(self, said: Any, body: bytes) -> tuple[int, Any]:
        crm, stamp = self.crm, self.headers["X-Healthscore-Timestamp"]
        mac = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256)
        assert self.headers["X-Healthscore-Signature"] == f"sha256={mac.hexdigest()}"
        key = self.headers["Idempotency-Key"]
        assert self.headers["X-Healthscore-Delivery"] == key
        is_new = key not in crm.keys
        crm.keys[key] = crm.keys.get(key, 0) + 1
        failed = []
        for one in said["changes"] if is_new else []:
            if one["account_id"] in crm.bad:
                failed.append(
                    {"account_id": one["account_id"], "message": crm.bad[one["account_id"]]}
                )
            else:
                crm.apply(one["account_id"], one)
        return 200, {"failed": failed}


@contextmanager
def running_crm() -> Iterator[Crm]:
    """Run a server on this machine."""
    crm = Crm()
    handler = type("Handler", (_Handler,), {"crm": crm})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        crm.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield crm
        crm.free.set()
        server.shutdown()
        thread.join()
