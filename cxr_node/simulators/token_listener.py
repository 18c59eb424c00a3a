"""Simulated web server that asks for a credential: a fixed Authorization header, or tokens of OAuth2 that it issues."""

import json
import socketserver
import ssl

from cxr_node.simulators.listener import Listener

TOKEN_S = 3600
"""Seconds after which a token expires."""


class TokenListener(Listener):
    """Listener whose requests must have a credential.

    Parameters
    ----------
    tls
        Context of a server with TLS.
    authorization
        Value that the Authorization header of each request must have; empty: none.
    client
        Authorization header of a client that gets tokens from `/token`, which each request must then have.
    """

    def __init__(
        self,
        handler: type[socketserver.BaseRequestHandler],
        *,
        tls: ssl.SSLContext | None = None,
        authorization: str = "",
        client: str = "",
    ) -> None:
        super().__init__(handler, tls=tls)
        self.tokens = 0
        """Number of tokens issued."""
        self.authorization = authorization
        self._client = client

    def permits(self, authorization: str | None) -> bool:
        """Whether the Authorization header of a request is the one asked for."""
        return not self.authorization or authorization == self.authorization

    def token_response(self, authorization: str | None, form: bytes) -> tuple[int, bytes]:
        """Return status and body of a token request; the new token is the only one accepted from now on."""
        if not self._client or authorization != self._client or b"grant_type=client_credentials" not in form:
            return 401, b"{}"
        self.tokens += 1
        token = f"token-{self.tokens}"
        self.authorization = f"Bearer {token}"
        return 200, json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_S}).encode()
