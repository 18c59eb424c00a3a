"""Program of `tests.support.oidc_provider`: oidc-provider-mock behind a proxy that enforces PKCE.

A separate process: the library uses deprecated functions and warns on every request.
"""

import hashlib
import io
import json
import sys
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import oidc_provider_mock
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

AUTHORIZE, TOKEN = "/oauth2/authorize", "/oauth2/token"


@dataclass(slots=True)
class PkceProxy:
    """Proxy that stores each code's challenge and requires its verifier (RFC 7636, S256).

    PUT /changes overrides JSON responses by path; GET /last returns the last ID Token.
    """

    provider: WSGIApplication
    challenges: dict[str, str] = field(default_factory=dict)
    changes: dict[str, dict[str, object]] = field(default_factory=dict)
    last: str = ""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        """Forward to the provider; reject a missing verifier, and apply overrides."""
        content = Request(environ).get_data()
        environ["wsgi.input"] = io.BytesIO(content)  # the provider reads it again
        return self._answer(environ, content)(environ, start_response)

    def _answer(self, environ: WSGIEnvironment, content: bytes) -> Response:
        request = Request(environ)
        if request.path == "/changes":
            self.changes = json.loads(content)
            return Response()
        if request.path == "/last":
            return Response(self.last)
        if request.path == TOKEN and not self._has_verifier(parse_qs(content.decode())):
            return Response("no proof", 400)
        response = Response.from_app(self.provider, environ)
        if request.path == AUTHORIZE:
            self._store_challenge(request, parse_qs(urlsplit(response.headers.get("Location", "")).query))
        if response.mimetype == "application/json":
            tokens = json.loads(response.get_data())
            self.last = tokens.get("id_token", self.last)
            response.set_data(json.dumps(tokens | self.changes.get(request.path, {})))
        return response

    def _has_verifier(self, form: dict[str, list[str]]) -> bool:
        verifier = form.get("code_verifier", [""])[0].encode()
        challenge = urlsafe_b64encode(hashlib.sha256(verifier).digest()).rstrip(b"=").decode()
        return self.challenges.pop(form.get("code", [""])[0], None) == challenge

    def _store_challenge(self, request: Request, answer: dict[str, list[str]]) -> None:
        if "code" in answer and request.args.get("code_challenge_method") == "S256":
            self.challenges[answer["code"][0]] = request.args["code_challenge"]


def main() -> None:
    """Serve and print the port; persons and lifetime of tokens come as JSON on standard input."""
    request = json.loads(sys.stdin.readline())
    app = oidc_provider_mock.app(
        require_nonce=True,
        access_token_max_age=timedelta(seconds=request["tokens_live_s"]),
        user_claims=[oidc_provider_mock.User(sub=name, claims=claims) for name, claims in request["people"].items()],
    )
    server = make_server("127.0.0.1", 0, PkceProxy(provider=cast("WSGIApplication", app)), threaded=True)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
