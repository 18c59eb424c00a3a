"""OpenID Connect client: authorization code flow with PKCE, and validation of ID Tokens."""

import hashlib
import logging
import math
import secrets
import ssl
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from joserfc import jws, jwt
from joserfc.errors import BadSignatureError, ClaimError, ExpiredTokenError, JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

from cxr_node.domain.errors import type_and_place
from cxr_node.domain.permissions import PageRole, Permissions
from cxr_node.settings.operations import OidcSection
from cxr_node.web.provider_client import Json, LoginError, ProviderUnreachable, Remaining, fetch

_log = logging.getLogger(__name__)

_TIMEOUT_S = 10.0
"""For all requests to the provider that one request of a browser needs."""
_METADATA_S = 3600.0
_UNREACHABLE_S = 10.0
"""For this time an unreachable provider is not asked for its metadata again."""
_LEEWAY_S = 60
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Accepted signatures, by a key that the provider publishes; neither "none" nor shared secrets."""
_LOCAL = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginAttempt:
    """A login in progress: the state and nonce of its response, and the PKCE code verifier."""

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcUser:
    """A person authenticated by the provider, with the permissions that the settings give to the roles."""

    name: str
    permissions: Permissions


class Provider:
    """An OpenID Provider. Its metadata is kept for an hour, and fetched again after a failure.

    No lock is held during a request: a provider that does not respond holds up only those who log in there. `timer`
    is a monotonic clock.
    """

    def __init__(
        self,
        section: OidcSection,
        *,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._section = section
        self._clock = clock
        self._timer = timer
        self._tls = ssl.create_default_context(cafile=section.tls_ca)
        self._discovery: Json = {}
        self._discovered_at = -math.inf
        self._unreachable_at = -math.inf

    def start_login(self) -> tuple[str, LoginAttempt]:
        """Return the URL to redirect the browser to, and the login to keep until its response.

        Raises
        ------
        LoginError
            If the provider is unreachable, or its issuer is not that of the settings.
        """
        attempt = LoginAttempt(
            state=secrets.token_urlsafe(24), nonce=secrets.token_urlsafe(24), verifier=secrets.token_urlsafe(48)
        )
        challenge = urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).rstrip(b"=").decode()
        parameters = {
            "response_type": "code",
            "client_id": self._section.client_id,
            "redirect_uri": self._section.redirect_url.get_secret_value(),
            "scope": " ".join(self._section.scopes),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        address = str(self._metadata(self._deadline())["authorization_endpoint"])
        return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(parameters)}", attempt

    def finish_login(self, attempt: LoginAttempt, *, code: str) -> OidcUser:
        """Exchange a code for an ID Token and return its person.

        Raises
        ------
        LoginError
            If the provider is unreachable, its response is invalid, or the person has no role here.
        """
        remaining_s = self._deadline()
        metadata = self._metadata(remaining_s)
        tokens = self._tokens(attempt, code, metadata, remaining_s)
        keys = fetch(str(metadata["jwks_uri"]), tls=self._tls, remaining_s=remaining_s)
        try:
            claims = verify_id_token(
                str(tokens.get("id_token", "")),
                usable_keys(keys),
                issuer=self._section.issuer.get_secret_value(),
                client_id=self._section.client_id,
                nonce=attempt.nonce,
                now=self._clock(),
            )
        except (JoseError, ValueError) as error:
            _log.warning("an ID Token is invalid: %s", type_and_place(error))
            raise LoginError(f"the ID Token is invalid: {_token_fault(error)}") from error
        return user_of_claims(claims, self._section)

    def _deadline(self) -> Remaining:
        """Return the time that is left of `_TIMEOUT_S` for all requests of one call."""
        ends_at = self._timer() + _TIMEOUT_S

        def remaining_s() -> float:
            left_s = ends_at - self._timer()
            if left_s <= 0:
                raise TimeoutError
            return left_s

        return remaining_s

    def _metadata(self, remaining_s: Remaining) -> Json:
        if self._timer() - self._discovered_at < _METADATA_S:
            return self._discovery
        if self._timer() - self._unreachable_at < _UNREACHABLE_S:
            raise ProviderUnreachable(f"the provider was unreachable within the last {_UNREACHABLE_S:g} s")
        address = f"{self._section.issuer.get_secret_value().rstrip('/')}/.well-known/openid-configuration"
        try:
            metadata = fetch(address, tls=self._tls, remaining_s=remaining_s)
        except ProviderUnreachable:
            self._unreachable_at = self._timer()
            raise
        # OpenID Connect Discovery 1.0, section 4.3: prevents impersonation.
        if metadata.get("issuer") != self._section.issuer.get_secret_value():
            raise LoginError("the provider's issuer is not oidc.issuer")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not is_safe(str(metadata.get(name, ""))):
                raise LoginError(f"the provider has no {name} over TLS")
        self._discovery, self._discovered_at = metadata, self._timer()
        return metadata

    def _tokens(self, attempt: LoginAttempt, code: str, metadata: Json, remaining_s: Remaining) -> Json:
        section, authorization = self._section, ""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": section.redirect_url.get_secret_value(),
            "client_id": section.client_id,
            "code_verifier": attempt.verifier,
        }
        if section.client_secret:
            methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
            if "client_secret_basic" in methods:
                authorization = f"Basic {_basic(section)}"
            else:
                form["client_secret"] = section.client_secret.get_secret_value()
        address = str(metadata["token_endpoint"])
        return fetch(address, tls=self._tls, remaining_s=remaining_s, form=form, authorization=authorization)


class _Registry(jws.JWSRegistry):
    """Accepts the certificates of a key in the header (x5c), as some providers send them; they are not used."""

    max_header_length = 1 << 14


def usable_keys(document: Json) -> KeySet:
    """Return the keys of a JWK Set that can verify a signature; others are ignored (RFC 7517, section 5).

    A provider may publish keys of kinds and curves that the library does not know, beside those that it signs with.

    Raises
    ------
    ValueError
        If there is none.
    """
    rows = document.get("keys")
    keys = [key for row in (rows if isinstance(rows, list) else []) if (key := _usable_key(row)) is not None]
    if not keys:
        raise ValueError("the provider publishes no key that can be used")
    return KeySet(keys)


def _usable_key(row: object) -> Key | None:
    if not isinstance(row, dict) or row.get("use", "sig") != "sig" or row.get("kty") not in ("RSA", "EC"):
        return None
    try:
        return JWKRegistry.import_key(row)
    except Exception as error:  # noqa: BLE001  # the library raises KeyError and others for what it does not know
        _log.info("a key of the OpenID Provider is ignored: %s", type_and_place(error))
        return None


def verify_id_token(token: str, keys: KeySet, *, issuer: str, client_id: str, nonce: str, now: float) -> Json:
    """Return the claims of an ID Token after validation (OpenID Connect Core 1.0, section 3.1.3.7).

    Raises
    ------
    JoseError, ValueError
        If signature, issuer, audience, times or nonce are invalid.
    """
    claims = jwt.decode(token, keys, registry=_Registry(algorithms=_ALGORITHMS)).claims
    jwt.JWTClaimsRegistry(
        now=int(now),
        leeway=_LEEWAY_S,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": client_id},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
    ).validate(claims)
    has_several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if has_several else client_id) != client_id:
        raise ValueError("issued to another client")
    if not secrets.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise ValueError("nonce of another login")
    return claims


def user_of_claims(claims: Json, section: OidcSection) -> OidcUser:
    """Return the person of the claims, with the permissions of the settings.

    Raises
    ------
    LoginError
        If there is no valid name, or no role of this node.
    """
    name = claims.get(section.name_claim)
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise LoginError(f"the ID Token has no valid name in {section.name_claim}")
    name = f"oidc/{name[:64]}"  # local names have no slash, so the audit trail distinguishes the two
    roles = roles_of(claims, section.roles_claim)
    is_operator = not roles.isdisjoint(section.operators)
    if not is_operator and roles.isdisjoint(section.viewers):
        raise LoginError("the provider gives this person no role of this node", name=name)
    role = PageRole.OPERATOR if is_operator else PageRole.VIEWER
    permissions = Permissions(
        role=role,
        sees_films=not roles.isdisjoint(section.see_films),
        sees_identifiers=not roles.isdisjoint(section.see_identifiers),
    )
    return OidcUser(name=name, permissions=permissions)


def roles_of(claims: Json, path: str) -> frozenset[str]:
    """Return the roles at a path such as realm_access.roles: a list of strings, or a string of words."""
    value: Any = claims
    for part in [path] if path in claims else path.split("."):  # a claim's name may contain a dot
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        return frozenset(value.split())
    if isinstance(value, Sequence):
        return frozenset(role for role in value if isinstance(role, str))
    return frozenset()


def is_safe(address: str) -> bool:
    """Whether a URL of a provider may be used: over TLS, or on this host."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL)


def _basic(section: OidcSection) -> str:
    """Return the client credentials for HTTP Basic, both parts form-encoded (RFC 6749, section 2.3.1)."""
    parts = (section.client_id, section.client_secret.get_secret_value())
    return b64encode(":".join(quote(part, safe="") for part in parts).encode()).decode()


def _token_fault(error: Exception) -> str:
    match error:
        case ExpiredTokenError():
            return "it has expired; compare the clocks of provider and node"
        case BadSignatureError():
            return "its signature is not the provider's"
        case ClaimError(claim=str(claim)):
            return f"its claim {claim} is missing or not for this login"
        case _:
            return "it cannot be decoded or checked"
