"""What an ID Token must say to be believed, and what its claims come to."""

from collections.abc import Mapping

import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey, RSAKey

from cxr_node.settings.operations import OidcSection
from cxr_node.web.oidc import LoginError, OidcUser, is_safe, roles_of, user_of_claims, verify_id_token

NOW = 1_800_000_000
ISSUER, CLIENT, NONCE = "https://id.example/realms/hospital", "cxr-node", "n-1"
KEY = RSAKey.generate_key(2048, {"kid": "k", "use": "sig"})
SECTION = OidcSection(
    issuer=ISSUER, client_id=CLIENT, viewers=("cxr-viewer",), operators=("cxr-operator",), see_films=("radiology",)
)
CLAIMS = {"iss": ISSUER, "aud": CLIENT, "sub": "1", "iat": NOW - 1, "exp": NOW + 300, "nonce": NONCE}


def token(changes: Mapping[str, object] | None = None, *, key: RSAKey | OctKey = KEY, algorithm: str = "RS256") -> str:
    claims = {name: value for name, value in (CLAIMS | dict(changes or {})).items() if value is not None}
    return jwt.encode({"alg": algorithm, "kid": "k"}, claims, key, algorithms=[algorithm])


def judged(text: str) -> Mapping[str, object]:
    public = KeySet.import_key_set({"keys": [KEY.as_dict(private=False)]})
    return verify_id_token(text, public, issuer=ISSUER, client_id=CLIENT, nonce=NONCE, now=NOW)


def test_a_token_that_is_as_it_must_be_is_believed() -> None:
    assert judged(token())["sub"] == "1"
    assert judged(token({"aud": [CLIENT, "other"], "azp": CLIENT}))["sub"] == "1"
    assert judged(token({"exp": NOW - 30}))["sub"] == "1", "clocks differ a little"


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
        {"exp": NOW - 120},
        {"exp": None},
        {"iat": NOW + 600},
        {"nbf": NOW + 600},
        {"sub": None},
    ],
)
def test_a_token_for_another_time_place_or_login_is_not_believed(changes: dict[str, object]) -> None:
    with pytest.raises((JoseError, ValueError)):
        judged(token(changes))


def test_a_token_that_another_signed_is_not_believed() -> None:
    with pytest.raises((JoseError, ValueError)):
        judged(token(key=RSAKey.generate_key(2048, {"kid": "k"})))


def test_a_token_signed_by_a_shared_secret_or_not_at_all_is_not_believed() -> None:
    with pytest.raises((JoseError, ValueError)):
        judged(token(key=OctKey.import_key(KEY.as_pem(private=False)), algorithm="HS256"))
    header_and_claims = token().split(".")[1]
    with pytest.raises((JoseError, ValueError)):
        judged(f"eyJhbGciOiJub25lIn0.{header_and_claims}.")
    for text in ("", "a.b.c", "x" * 100):
        with pytest.raises((JoseError, ValueError)):
            judged(text)


def test_roles_come_from_where_the_settings_say() -> None:
    nested = {"realm_access": {"roles": ["a", "b"]}, "groups": "a b", "https://x.example/roles": ["c"], "n": 3}

    assert roles_of(nested, "realm_access.roles") == {"a", "b"}
    assert roles_of(nested, "groups") == {"a", "b"}
    assert roles_of(nested, "https://x.example/roles") == {"c"}
    for path in ("n", "none", "realm_access", "realm_access.roles.0"):
        assert roles_of(nested, path) == frozenset()


def test_what_a_person_may_follows_from_the_roles() -> None:
    def may(*roles: str) -> OidcUser:
        return user_of_claims({"preferred_username": "kim", "realm_access": {"roles": list(roles)}}, SECTION)

    assert may("cxr-viewer") == OidcUser(name="oidc/kim", is_operator=False, sees_films=False)
    assert may("cxr-operator") == OidcUser(name="oidc/kim", is_operator=True, sees_films=False)
    assert may("cxr-viewer", "radiology") == OidcUser(name="oidc/kim", is_operator=False, sees_films=True)
    for roles in ((), ("radiology",), ("admin",)):
        with pytest.raises(LoginError, match="no role"):
            may(*roles)


@pytest.mark.parametrize("name", [None, "", "  ", 3, "kim\n"])
def test_a_name_that_is_none_lets_nobody_in(name: object) -> None:
    with pytest.raises(LoginError, match="no valid name"):
        user_of_claims({"preferred_username": name, "realm_access": {"roles": ["cxr-viewer"]}}, SECTION)


def test_a_provider_is_spoken_to_over_tls_or_on_this_machine() -> None:
    assert is_safe("https://id.example/token")
    assert is_safe("http://127.0.0.1:9000/token")
    for address in ("http://id.example/token", "ftp://id.example", "", "file:///etc/passwd"):
        assert not is_safe(address)
