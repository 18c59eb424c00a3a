"""Logins by OpenID Connect: the authorization code flow with PKCE, and what an ID Token must say."""

import hashlib
import json
import secrets
import ssl
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from cxr_node.settings.operations import OidcSection

_TIMEOUT_S = 10.0
_LARGEST_ANSWER = 1 << 20
_LEEWAY_S = 60
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Signatures by a key that the provider publishes; "none" and those by a shared secret are not among them."""
_LOCAL = ("127.0.0.1", "::1", "localhost")

Json = Mapping[str, Any]


class NotLoggedIn(Exception):
    """The provider did not say who it is, or what it said may not be believed; the sentence says why.

    `name` is whom it named, for the audit trail; empty where it named nobody.
    """

    def __init__(self, sentence: str, *, name: str = "") -> None:
        super().__init__(sentence)
        self.name = name


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A login that has begun: what its answer must repeat, and the secret behind the challenge."""

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Whom the provider names, and what the settings make of that person's roles."""

    name: str
    is_operator: bool
    sees_films: bool


class Provider:
    """An OpenID Provider. It is asked for its addresses when someone first logs in, and again if that failed."""

    def __init__(self, section: OidcSection, *, clock: Callable[[], float] = time.time) -> None:
        self._section = section
        self._clock = clock
        self._tls = ssl.create_default_context(cafile=section.tls_ca)
        self._lock = threading.Lock()
        self._found: Json | None = None

    def begin(self) -> tuple[str, Attempt]:
        """Return the address to send a browser to, and what is to be remembered meanwhile.

        Raises
        ------
        NotLoggedIn
            If the provider does not answer, or is not the one that the settings name.
        """
        attempt = Attempt(
            state=secrets.token_urlsafe(24), nonce=secrets.token_urlsafe(24), verifier=secrets.token_urlsafe(48)
        )
        challenge = urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self._section.client_id,
            "redirect_uri": self._section.redirect_url,
            "scope": " ".join(self._section.scopes),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        address = str(self._metadata()["authorization_endpoint"])
        return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(asked)}", attempt

    def finish(self, attempt: Attempt, *, code: str) -> Known:
        """Exchange a code for an ID Token and return whom it names.

        Raises
        ------
        NotLoggedIn
            If the provider does not answer, its answer may not be believed, or the person has no role here.
        """
        metadata = self._metadata()
        answer = self._ask(str(metadata["token_endpoint"]), form=self._exchange(attempt, code), metadata=metadata)
        keys = self._ask(str(metadata["jwks_uri"]))
        try:
            claims = believed(
                str(answer.get("id_token", "")),
                KeySet.import_key_set(dict(keys)),  # type: ignore[arg-type]  # checked by the library
                issuer=self._section.issuer,
                client_id=self._section.client_id,
                nonce=attempt.nonce,
                now=self._clock(),
            )
        except (JoseError, ValueError) as error:
            raise NotLoggedIn(f"the ID Token is not to be believed: {type(error).__name__}") from error
        return known(claims, self._section)

    def _exchange(self, attempt: Attempt, code: str) -> dict[str, str]:
        return {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._section.redirect_url,
            "client_id": self._section.client_id,
            "code_verifier": attempt.verifier,
        }

    def _metadata(self) -> Json:
        with self._lock:
            if self._found is None:
                address = f"{self._section.issuer.rstrip('/')}/.well-known/openid-configuration"
                found = self._ask(address)
                # OpenID Connect Discovery 1.0, section 4.3: or another could speak for it.
                if found.get("issuer") != self._section.issuer:
                    raise NotLoggedIn("the provider calls itself otherwise than oidc.issuer does")
                for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                    if not is_safe(str(found.get(name, ""))):
                        raise NotLoggedIn(f"the provider has no {name} that can be used over TLS")
                self._found = found
            return self._found

    def _ask(self, address: str, *, form: dict[str, str] | None = None, metadata: Json | None = None) -> Json:
        headers = {"Accept": "application/json"}
        if form is not None and self._section.client_secret:
            methods = (metadata or {}).get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
            if "client_secret_basic" in methods:
                headers["Authorization"] = f"Basic {_basic(self._section)}"
            else:
                form = {**form, "client_secret": self._section.client_secret}
        content = None if form is None else urlencode(form).encode()
        request = urllib.request.Request(address, data=content, headers=headers)  # noqa: S310  # see is_safe
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=self._tls) as answer:  # noqa: S310  # see is_safe
                said = json.loads(answer.read(_LARGEST_ANSWER))
        except urllib.error.HTTPError as error:
            error.close()
            raise NotLoggedIn(f"the provider answers with status {error.code}") from error
        except (OSError, ValueError) as error:
            raise NotLoggedIn(f"the provider does not answer: {type(error).__name__}") from error
        if not isinstance(said, dict):
            raise NotLoggedIn("the provider's answer is no JSON object")
        return said


def believed(token: str, keys: KeySet, *, issuer: str, client_id: str, nonce: str, now: float) -> Json:
    """Return the claims of an ID Token that is meant for us, now, and for this login (Core 1.0, section 3.1.3.7).

    Raises
    ------
    JoseError, ValueError
        If its signature, issuer, audience, times or nonce are not what they must be.
    """
    claims = jwt.decode(token, keys, algorithms=list(_ALGORITHMS)).claims
    jwt.JWTClaimsRegistry(
        now=int(now),
        leeway=_LEEWAY_S,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": client_id},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
    ).validate(claims)
    if isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and claims.get("azp") != client_id:
        raise ValueError("issued to another party")
    if not secrets.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise ValueError("of another login")
    return claims


def known(claims: Json, section: OidcSection) -> Known:
    """Return whom claims name and what that person may, by the settings.

    Raises
    ------
    NotLoggedIn
        If there is no name, or no role of this page among the roles.
    """
    name = claims.get(section.name_claim)
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise NotLoggedIn(f"the ID Token has no {section.name_claim} that could be a name")
    name = f"oidc/{name[:64]}"  # a slash is in no local name: the audit trail tells the two apart
    roles = roles_of(claims, section.roles_claim)
    is_operator = not roles.isdisjoint(section.operators)
    if not is_operator and roles.isdisjoint(section.viewers):
        raise NotLoggedIn("logged in there, but with no role that this page knows", name=name)
    return Known(name=name, is_operator=is_operator, sees_films=not roles.isdisjoint(section.see_films))


def roles_of(claims: Json, path: str) -> frozenset[str]:
    """Return the roles at a path such as realm_access.roles: a list of texts, or one text of words."""
    found: Any = claims
    for part in [path] if path in claims else path.split("."):  # a claim may have a dot in its name
        found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return frozenset(found.split())
    if isinstance(found, Sequence):
        return frozenset(each for each in found if isinstance(each, str))
    return frozenset()


def is_safe(address: str) -> bool:
    """Whether an address of a provider may be used: over TLS, or on this very machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL)


def _basic(section: OidcSection) -> str:
    """Return the credentials as RFC 6749, section 2.3.1 has them: both parts encoded as in a form."""
    return b64encode(f"{quote(section.client_id, safe='')}:{quote(section.client_secret, safe='')}".encode()).decode()
