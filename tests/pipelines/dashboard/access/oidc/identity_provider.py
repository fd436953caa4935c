"""A provider of identities on this machine, which may lie about whatever a login rests on."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "panel", "s e/cret"


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@dataclass
class Provider:
    """What the provider knows, and what it does to tokens before it gives them."""

    url: str = ""
    key: rsa.RSAPrivateKey = field(default_factory=new_key)
    kid: str = "one"
    codes: dict[str, tuple[dict[str, str], dict[str, Any]]] = field(default_factory=dict)
    spoil: Callable[[dict[str, Any]], str] | None = None
    change: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    ill: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    """Paths that are answered otherwise."""

    def agree(self, address: str, **claims: Any) -> dict[str, str]:
        """Log somebody in who was sent here, and return what the browser is sent back with."""
        parts = urlsplit(address)
        assert address.startswith(f"{self.url}/authorize?")
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}"
        self.codes[code] = (asked, claims)
        return {"code": code, "state": asked["state"]}

    def token(self, asked: dict[str, str], claims: dict[str, Any]) -> str:
        now = int(time.time())
        said = {
            "iss": self.url, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 300,
            "nonce": asked["nonce"], **claims,
        }  # fmt: skip
        said = {name: value for name, value in (said | self.change).items() if value is not None}
        if self.spoil is not None:
            return self.spoil(said)
        return jwt.encode(said, self.key, "RS256", headers={"kid": self.kid})

    def keys(self) -> dict[str, Any]:
        described = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [described | {"kid": self.kid, "use": "sig", "alg": "RS256"}]}


class _Handler(BaseHTTPRequestHandler):
    provider: Provider

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        provider = self.provider
        provider.asked.append(self.path)
        if self.path in provider.ill:
            provider.ill[self.path](self)
            return
        if self.path == "/keys":
            self._answer(200, provider.keys())
            return
        assert self.path == "/.well-known/openid-configuration"
        places = {"authorization_endpoint": "authorize", "token_endpoint": "token"}
        told = {name: f"{provider.url}/{place}" for name, place in places.items()}
        self._answer(200, told | {"issuer": provider.url, "jwks_uri": f"{provider.url}/keys"})

    def do_POST(self) -> None:
        provider = self.provider
        provider.asked.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path in provider.ill:
            provider.ill[self.path](self)
            return
        form = {name: values[0] for name, values in parse_qs(body).items()}
        login = base64.b64encode(b"panel:s%20e%2Fcret").decode()
        asked, claims = provider.codes.pop(form["code"], ({}, {}))
        proof = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest())
        is_right = (
            self.headers["Authorization"] == f"Basic {login}"
            and asked.get("code_challenge") == proof.decode().rstrip("=")
            and asked["redirect_uri"] == form["redirect_uri"]
        )
        if not is_right:
            self._answer(400, {"error": "invalid_grant"})
            return
        self._answer(200, {"id_token": provider.token(asked, claims), "token_type": "Bearer"})

    def _answer(self, status: int, told: Any) -> None:
        text = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@contextmanager
def running_provider() -> Iterator[Provider]:
    """Run a provider on this machine."""
    provider = Provider()
    handler = type("Handler", (_Handler,), {"provider": provider})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        provider.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield provider
        server.shutdown()
        thread.join()
