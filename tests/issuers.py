"""An OpenID Connect issuer on the loopback interface, with keys of its own."""

import base64
import http.server
import json
import threading
import time
from collections import Counter
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

CONFIGURATION = "/.well-known/openid-configuration"
KEYS = "/keys"
CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


def make_key(algorithm: str = "RS256", bits: int = 2048) -> Any:
    """A private key for the algorithm."""
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm])
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def jwk_of(key: Any, identifier: str | None, algorithm: str, **members: Any) -> dict[str, Any]:
    """The public half as a JSON Web Key."""
    kind = jwt.algorithms.ECAlgorithm if algorithm in CURVES else jwt.algorithms.RSAAlgorithm
    made: dict[str, Any] = kind.to_jwk(key.public_key(), as_dict=True)
    made.pop("key_ops", None)
    named = {} if identifier is None else {"kid": identifier}
    return {**made, **named, "alg": algorithm, "use": "sig", **members}


class Issuer:
    """A context manager. `answers` (path -> (status, body)) are put in the place of what it would say."""

    def __init__(self) -> None:
        self.keys: dict[str, tuple[str, Any]] = {}
        self.published: list[dict[str, Any]] = []
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: Counter[str] = Counter()
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked[self.path] += 1
                status, body = issuer.answer(self.path)
                self.send_response(status)
                if status in {301, 302}:
                    self.send_header("Location", body.decode())
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def name(self) -> str:
        """As in ARNs and condition keys."""
        return self.url.partition("://")[2]

    def answer(self, path: str) -> tuple[int, bytes]:
        if path in self.answers:
            return self.answers[path]
        if path == CONFIGURATION:
            return 200, json.dumps({"issuer": self.url, "jwks_uri": self.url + KEYS}).encode()
        if path == KEYS:
            return 200, json.dumps({"keys": self.published}).encode()
        return 404, b""

    def add_key(self, identifier: str = "one", algorithm: str = "RS256", *, publish: bool = True) -> Any:
        key = make_key(algorithm)
        self.keys[identifier] = (algorithm, key)
        if publish:
            self.published.append(jwk_of(key, identifier, algorithm))
        return key

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Those of a good token; None leaves one out."""
        now = int(time.time())
        made = {
            "iss": self.url, "aud": "longshore", "sub": "repo:team-a/app:ref:refs/heads/main", "iat": now, "nbf": now,
            "exp": now + 300, **changed,
        }  # fmt: skip
        return {name: value for name, value in made.items() if value is not None}

    def token(self, identifier: str = "one", *, header: dict[str, Any] | None = None, **changed: Any) -> str:
        """Signed with one of its keys."""
        algorithm, key = self.keys[identifier]
        headers = {"kid": identifier} if header is None else header
        return jwt.encode(self.claims(**changed), key, algorithm=algorithm, headers=headers)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def part(content: Any) -> str:
    """A part of a JSON Web Token."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
