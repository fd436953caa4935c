"""What each kind of server takes: HubSpot, Salesforce, and any that takes JSON."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from features.errors import SettingsError
from features.json_values import JsonReady
from pipelines.project.delivery.http import (
    Answer,
    TryError,
    again_and_again,
    ask,
    resolved,
    signed_headers,
)
from pipelines.reports.terminal.console import plain

if TYPE_CHECKING:
    from pipelines.portfolio.outbox.writeback.rows import Written
    from pipelines.project.settings.alert import WritebackSettings

LONGEST = 200
SECRETS = ("token_env", "client_id_env", "client_secret_env", "secret_env")
HIDDEN = "(hidden)"
UNKNOWN = "the server did not say that it took it"


@dataclass(frozen=True)
class Failed(JsonReady):
    """An account that was not taken, and why."""

    account_id: str
    why: str


class Target(ABC):
    """A server that takes scores; taking the same again changes nothing.

    Parameters
    ----------
    name : str
        Of its section.
    settings : WritebackSettings
        The section.
    """

    _given: str | None = None

    def __init__(self, name: str, settings: WritebackSettings) -> None:
        self.name, self.settings = name, settings
        self.section = f"writeback.{name}"

    @abstractmethod
    def send(self, rows: Sequence[Written], delivery: str) -> list[Failed]:
        """Write accounts, and return those that were not taken.

        Parameters
        ----------
        rows : sequence of Written
            At most so many as the settings say.
        delivery : str
            The same whenever the same is sent.

        Raises
        ------
        TryError
            When none of them is known to have been taken.
        """

    @abstractmethod
    def body(self, rows: Sequence[Written]) -> bytes:
        """Write accounts as they are sent."""

    def check(self) -> None:
        """See that secrets are there, before anything is sent.

        Raises
        ------
        SettingsError
            Naming the variable that is not.
        """
        for key in SECRETS:
            self._secret(key)

    def _failures(self, failed: Mapping[str, str]) -> list[Failed]:
        shown = {account: plain(self._hidden(why), LONGEST) for account, why in failed.items()}
        return [Failed(account, why) for account, why in shown.items()]

    def _hidden(self, text: str) -> str:
        """Return what a server said without our secrets, which some servers repeat."""
        named = (getattr(self.settings, key) for key in SECRETS)
        secrets = (*(os.environ.get(one) for one in named if one is not None), self._given)
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text

    def _secret(self, key: str) -> str | None:
        variable = getattr(self.settings, key)
        value = os.environ.get(variable) if variable is not None else None
        if variable is not None and not value:
            raise SettingsError(
                f"The environment variable '{variable}' that [{self.section}] {key} names is not"
                " set; set it"
            )
        is_sent = key == "token_env" and value is not None
        if is_sent and value and not (value.isascii() and value.isprintable()):
            raise SettingsError(
                f"The environment variable '{variable}' that [{self.section}] {key} names holds"
                " what cannot be sent, such as a line end; correct it"
            )
        return value

    def _headers(self, body: bytes, delivery: str) -> dict[str, str]:
        token = self._secret("token_env")
        headers = signed_headers(body, delivery, self._secret("secret_env"))
        headers["Idempotency-Key"] = delivery
        return headers | ({"Authorization": f"Bearer {token}"} if token is not None else {})

    def _ask(self, path: str, method: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        settings = self.settings
        address = resolved(settings.address, self.section).rstrip("/") + path

        def once() -> Answer:
            answer = ask(
                address, method=method, body=body, headers=headers, seconds=settings.timeout_seconds
            )
            if not answer.is_whole:
                raise TryError("broke off in the middle of its answer")
            return answer

        try:
            return again_and_again(settings.retries, settings.timeout_seconds, once)
        except TryError as failed:
            raise _explained(failed, self._hidden) from failed


class Hubspot(Target):
    """Objects of HubSpot, by ``POST /crm/v3/objects/{object}/batch/upsert``."""

    def body(self, rows: Sequence[Written]) -> bytes:
        """Write accounts as inputs, which a mark tells apart in answers."""
        fields = self.settings.fields
        inputs = [
            {
                "idProperty": self.settings.match,
                "id": row.account_id,
                "objectWriteTraceId": str(number),
                "properties": {
                    # An empty text takes a value away.
                    name: "" if (value := row.value(field)) is None else str(value)
                    for field, name in fields.items()
                },
            }
            for number, row in enumerate(rows)
        ]
        return json.dumps({"inputs": inputs}).encode()

    def send(self, rows: Sequence[Written], delivery: str) -> list[Failed]:
        """Write a batch; some of it may be refused (status 207)."""
        body = self.body(rows)
        path = f"/crm/v3/objects/{self.settings.object or 'companies'}/batch/upsert"
        answer = _json(self._ask(path, "POST", body, self._headers(body, delivery)))
        failed: dict[str, str] = {}
        numbered = {str(number): row for number, row in enumerate(rows)}
        for error in _list(answer, "errors"):
            context = error.get("context")
            marks = context.get("objectWriteTraceId", []) if isinstance(context, dict) else []
            why = str(error.get("message", error.get("category", UNKNOWN)))
            for mark in marks if isinstance(marks, list) else [marks]:
                row = numbered.get(str(mark))
                if row is not None:
                    failed[row.account_id] = why
        told = len(_list(answer, "results")) + len(failed)
        if told < len(rows):
            raise TryError(f"answered for {told} of {len(rows)} accounts", status=LACKING)
        return self._failures(failed)


class Salesforce(Target):
    """Objects of Salesforce, by ``PATCH /composite/sobjects/{object}/{external id}``."""

    def body(self, rows: Sequence[Written]) -> bytes:
        """Write accounts as records that succeed and fail one by one."""
        kind = self.settings.object or "Account"
        records = [
            {
                "attributes": {"type": kind},
                self.settings.match: row.account_id,
                **{name: row.value(field) for field, name in self.settings.fields.items()},
            }
            for row in rows
        ]
        return json.dumps({"allOrNone": False, "records": records}).encode()

    def send(self, rows: Sequence[Written], delivery: str) -> list[Failed]:
        """Write a collection; each record has an answer of its own."""
        body, kind = self.body(rows), self.settings.object or "Account"
        place = f"{quote(kind)}/{quote(self.settings.match)}"
        path = f"/services/data/{self.settings.version}/composite/sobjects/{place}"
        try:
            answer = self._ask(path, "PATCH", body, self._with_token(body, delivery))
        except TryError as failed:
            if failed.status != 401 or self._given is None:
                raise
            # A token that an app was given ends within hours.
            self._given = None
            answer = self._ask(path, "PATCH", body, self._with_token(body, delivery))
        told = _json(answer)
        if not isinstance(told, list) or len(told) != len(rows):
            raise TryError("did not answer for each account", status=LACKING)
        failed_rows = {}
        for row, one in zip(rows, told, strict=True):
            if not isinstance(one, dict) or one.get("success") is not True:
                errors = _list(one, "errors")
                said = [str(error.get("message", error.get("statusCode"))) for error in errors]
                failed_rows[row.account_id] = "; ".join(said) or UNKNOWN
        return self._failures(failed_rows)

    def _with_token(self, body: bytes, delivery: str) -> dict[str, str]:
        headers = self._headers(body, delivery)
        if "Authorization" not in headers:
            self._given = self._given or self._token()
            headers["Authorization"] = f"Bearer {self._given}"
        return headers

    def _token(self) -> str:
        """Ask for a token, by the flow of client credentials (RFC 6749, section 4.4)."""
        asked = {
            "grant_type": "client_credentials",
            "client_id": self._secret("client_id_env") or "",
            "client_secret": self._secret("client_secret_env") or "",
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self._ask("/services/oauth2/token", "POST", urlencode(asked).encode(), headers)
        told = _json(answer)
        token = told.get("access_token") if isinstance(told, dict) else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise TryError("gave no token for the app", again=False)
        return token


class Server(Target):
    """A server of one's own, which takes a signed JSON object."""

    def body(self, rows: Sequence[Written]) -> bytes:
        """Write accounts with all that is known of the change, or what ``fields`` names."""
        fields = self.settings.fields
        changes = [
            {
                "account_id": row.account_id,
                **(
                    {name: row.value(field) for field, name in fields.items()}
                    if fields
                    else row.to_dict()
                ),
            }
            for row in rows
        ]
        told = {"writeback": self.name, "outcome": self.settings.outcome, "changes": changes}
        return json.dumps(told, allow_nan=False).encode()

    def send(self, rows: Sequence[Written], delivery: str) -> list[Failed]:
        """Post them; the answer may name accounts in ``failed``."""
        body = self.body(rows)
        answer = self._ask("", "POST", body, self._headers(body, delivery))
        try:
            told = json.loads(answer.body or b"{}")
        except (ValueError, RecursionError):
            # Whatever it says, it said that it took them.
            return []
        known = {row.account_id for row in rows}
        failed = {
            str(one.get("account_id")): str(one.get("message", UNKNOWN))
            for one in _list(told, "failed")
        }
        return self._failures({name: why for name, why in failed.items() if name in known})


LACKING = -1
"""In place of a status: it answered, and less than it must."""


def target_of(name: str, settings: WritebackSettings) -> Target:
    """Return the server of a section."""
    kinds: dict[str, type[Target]] = {
        "hubspot": Hubspot,
        "salesforce": Salesforce,
        "http": Server,
    }
    return kinds[settings.kind](name, settings)


def _explained(failed: TryError, hidden: Callable[[str], str]) -> TryError:
    """Add what a server said of a refusal, which is why nothing came of it."""
    try:
        told = json.loads(failed.body)
    except (ValueError, RecursionError):
        told = None
    told = told[0] if isinstance(told, list) and told else told
    said = told.get("message") if isinstance(told, dict) else None
    why = f"{failed}: {plain(hidden(said), LONGEST)}" if isinstance(said, str) else str(failed)
    explained = TryError(why, again=failed.again, status=failed.status, wait=failed.wait)
    explained.tries = failed.tries
    return explained


def _json(answer: Answer) -> object:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise TryError("answered with no JSON", status=LACKING) from error


def _list(told: object, name: str) -> list[dict[str, object]]:
    listed = told.get(name) if isinstance(told, dict) else None
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
