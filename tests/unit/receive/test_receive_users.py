"""Password hashes, and user identity negotiation."""

import hashlib

import pytest
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.domain.password_hash import PasswordHash
from cxr_node.receive.admission import Users

HASH = PasswordHash.from_password("correct horse", salt=bytes(16), cost=16)
USERS = Users({"dx1": HASH, "dx2": PasswordHash.from_password("other", salt=b"s" * 16, cost=16)})


def admitted(name: bytes, password: bytes, *, kind: int | None = 2) -> bool:
    return USERS.admit(user_identity_type=kind, primary_field=name, secondary_field=password)


def test_a_user_with_the_right_password_is_admitted() -> None:
    assert admitted(b"dx1", b"correct horse")
    assert admitted(b"dx2", b"other")


@pytest.mark.parametrize(
    ("name", "password"),
    [(b"dx1", b"other"), (b"dx1", b""), (b"dx1", b"correct horse "), (b"", b""), (b"dx3", b"correct horse")],
)
def test_a_wrong_name_or_password_is_not_admitted(name: bytes, password: bytes) -> None:
    assert not admitted(name, password)


@pytest.mark.parametrize("kind", [None, 1, 3, 4, 5])
def test_another_user_identity_type_is_not_admitted(kind: int | None) -> None:
    assert not admitted(b"dx1", b"correct horse", kind=kind)


def test_a_password_hash_survives_writing_and_parsing() -> None:
    assert PasswordHash.parse(str(HASH)) == HASH
    assert "correct" not in str(HASH)


def test_the_key_is_that_of_scrypt() -> None:
    assert HASH.key == hashlib.scrypt(b"correct horse", salt=bytes(16), n=16, r=8, p=5, dklen=32)


@pytest.mark.parametrize("text", ["", "correct horse", "scrypt:16:8:5:00:00", str(HASH) + " ", "md5" + str(HASH)[6:]])
def test_an_invalid_password_hash_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="not a password hash"):
        PasswordHash.parse(text)


@pytest.mark.slow
def test_the_command_prints_a_matching_hash_and_no_password() -> None:
    answer = CliRunner().invoke(app, ["config", "password"], input="correct horse\ncorrect horse\n")

    assert answer.exit_code == 0
    assert "correct" not in answer.output
    assert PasswordHash.parse(answer.stdout.splitlines()[-1]).matches(b"correct horse")
