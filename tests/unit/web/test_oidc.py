"""Validation of ID Tokens, and permissions from claims."""

from collections.abc import Mapping

import pytest
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey, RSAKey

from cxr_node.domain.permissions import PageRole, Permissions
from cxr_node.settings.operations import OidcSection
from cxr_node.web.oidc import OidcUser, is_safe, roles_of, usable_keys, user_of_claims, verify_id_token
from cxr_node.web.provider_client import LoginError

NOW = 1_800_000_000
ISSUER, CLIENT, NONCE = "https://id.example/realms/hospital", "cxr-node", "n-1"
KEY = RSAKey.generate_key(2048, {"kid": "k", "use": "sig"})
SECTION = OidcSection(
    issuer=ISSUER,
    client_id=CLIENT,
    viewers=("cxr-viewer",),
    operators=("cxr-operator",),
    see_films=("radiology",),
    see_identifiers=("registry",),
)
CLAIMS = {"iss": ISSUER, "aud": CLIENT, "sub": "1", "iat": NOW - 1, "exp": NOW + 300, "nonce": NONCE}


def token(changes: Mapping[str, object] | None = None, *, key: RSAKey | OctKey = KEY, algorithm: str = "RS256") -> str:
    claims = {name: value for name, value in (CLAIMS | dict(changes or {})).items() if value is not None}
    return jwt.encode({"alg": algorithm, "kid": "k"}, claims, key, algorithms=[algorithm])


def user(role: PageRole, *, sees_films: bool, sees_identifiers: bool = False) -> OidcUser:
    permissions = Permissions(role=role, sees_films=sees_films, sees_identifiers=sees_identifiers)
    return OidcUser(name="oidc/kim", permissions=permissions)


def validated(text: str) -> Mapping[str, object]:
    public = KeySet.import_key_set({"keys": [KEY.as_dict(private=False)]})
    return verify_id_token(text, public, issuer=ISSUER, client_id=CLIENT, nonce=NONCE, now=NOW)


def test_valid_token_is_accepted() -> None:
    assert validated(token())["sub"] == "1"
    assert validated(token({"aud": [CLIENT, "other"], "azp": CLIENT}))["sub"] == "1"
    assert validated(token({"exp": NOW - 30}))["sub"] == "1", "clocks differ a little"


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "n-2"},
        {"nonce": None},
        {"iss": "https://id.example/realms/other"},
        {"iss": None},
        {"aud": "other"},
        {"aud": ["other"]},
        {"aud": [CLIENT, "other"]},
        {"aud": [CLIENT, "other"], "azp": "other"},
        {"azp": "other"},
        {"aud": [CLIENT], "azp": "other"},
        {"exp": NOW - 120},
        {"exp": None},
        {"iat": NOW + 600},
        {"nbf": NOW + 600},
        {"sub": None},
    ],
)
def test_token_for_another_time_client_or_login_is_rejected(changes: dict[str, object]) -> None:
    with pytest.raises((JoseError, ValueError)):
        validated(token(changes))


def test_token_with_a_foreign_signature_is_rejected() -> None:
    with pytest.raises((JoseError, ValueError)):
        validated(token(key=RSAKey.generate_key(2048, {"kid": "k"})))


def test_token_with_a_shared_secret_or_no_signature_is_rejected() -> None:
    with pytest.raises((JoseError, ValueError)):
        validated(token(key=OctKey.import_key(KEY.as_pem(private=False)), algorithm="HS256"))
    header_and_claims = token().split(".")[1]
    with pytest.raises((JoseError, ValueError)):
        validated(f"eyJhbGciOiJub25lIn0.{header_and_claims}.")
    for text in ("", "a.b.c", "x" * 100):
        with pytest.raises((JoseError, ValueError)):
            validated(text)


def test_a_key_of_an_unknown_curve_leaves_the_others_usable() -> None:
    unknown = {"kty": "EC", "crv": "brainpoolP256r1", "x": "AA", "y": "AA", "kid": "b", "use": "sig"}
    others = ({"kty": "RSA"}, {"kty": "AKP", "alg": "ML-DSA-44"}, {"kty": "oct", "k": "AAAA"}, "no key", None)
    keys = usable_keys({"keys": [unknown, *others, KEY.as_dict(private=False)]})

    assert verify_id_token(token(), keys, issuer=ISSUER, client_id=CLIENT, nonce=NONCE, now=NOW)["sub"] == "1"
    assert [key.kid for key in keys.keys] == ["k"]
    documents: tuple[dict[str, object], ...] = ({"keys": [unknown]}, {"keys": []}, {"keys": "x"}, {})
    for document in documents:
        with pytest.raises(ValueError, match="no key that can be used"):
            usable_keys(document)


def test_certificates_in_the_header_of_a_token_are_ignored() -> None:
    header = {"alg": "RS256", "kid": "k", "x5c": ["A" * 2000, "B" * 2000]}
    text = jwt.encode(header, dict(CLAIMS), KEY, algorithms=["RS256"], registry=_LongHeaders())

    assert validated(text)["sub"] == "1"


class _LongHeaders(jws.JWSRegistry):
    max_header_length = 1 << 14


def test_roles_are_read_at_the_configured_path() -> None:
    nested = {"realm_access": {"roles": ["a", "b"]}, "groups": "a b", "https://x.example/roles": ["c"], "n": 3}

    assert roles_of(nested, "realm_access.roles") == {"a", "b"}
    assert roles_of(nested, "groups") == {"a", "b"}
    assert roles_of(nested, "https://x.example/roles") == {"c"}
    for path in ("n", "none", "realm_access", "realm_access.roles.0"):
        assert roles_of(nested, path) == frozenset()


def test_permissions_follow_from_the_roles() -> None:
    def permissions(*roles: str) -> OidcUser:
        return user_of_claims({"preferred_username": "kim", "realm_access": {"roles": list(roles)}}, SECTION)

    assert permissions("cxr-viewer") == user(PageRole.VIEWER, sees_films=False)
    assert permissions("cxr-operator") == user(PageRole.OPERATOR, sees_films=False)
    assert permissions("cxr-viewer", "radiology") == user(PageRole.VIEWER, sees_films=True)
    assert permissions("cxr-viewer", "registry") == user(PageRole.VIEWER, sees_films=False)
    seer = user(PageRole.VIEWER, sees_films=True, sees_identifiers=True)
    assert permissions("cxr-viewer", "radiology", "registry") == seer
    for roles in ((), ("radiology",), ("admin",)):
        with pytest.raises(LoginError, match="no role"):
            permissions(*roles)


@pytest.mark.parametrize("name", [None, "", "  ", 3, "kim\n"])
def test_invalid_name_is_rejected(name: object) -> None:
    with pytest.raises(LoginError, match="no valid name"):
        user_of_claims({"preferred_username": name, "realm_access": {"roles": ["cxr-viewer"]}}, SECTION)


def test_provider_is_used_over_tls_or_on_this_host() -> None:
    assert is_safe("https://id.example/token")
    assert is_safe("http://127.0.0.1:9000/token")
    for address in ("http://id.example/token", "ftp://id.example", "", "file:///etc/passwd"):
        assert not is_safe(address)
