"""Password hashes, and user identity negotiation."""

import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.domain.password_hash import PasswordHash
from cxr_node.receive.admission import Users

HASH = PasswordHash.from_password("correct horse", salt=bytes(16), cost=16)


def users(clock: Callable[[], float] = time.monotonic) -> Users:
    return Users({"dx1": HASH, "dx2": PasswordHash.from_password("other", salt=b"s" * 16, cost=16)}, clock=clock)


def admitted(
    name: bytes, password: bytes, *, kind: int | None = 2, address: str = "192.0.2.1", by: Users | None = None
) -> bool:
    return (by or users()).admit(address=address, user_identity_type=kind, primary_field=name, secondary_field=password)


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


def test_guesses_of_one_address_do_not_hold_up_another(monkeypatch: pytest.MonkeyPatch) -> None:
    matches, guessing, released = PasswordHash.matches, threading.Event(), threading.Event()

    def slow_where_wrong(password_hash: PasswordHash, password: bytes) -> bool:
        if password == b"guess":
            guessing.set()
            released.wait(60)
        return matches(password_hash, password)

    monkeypatch.setattr(PasswordHash, "matches", slow_where_wrong)
    by = users()
    with ThreadPoolExecutor(31) as threads:
        guesses = [threads.submit(admitted, b"dx1", b"guess", address="192.0.2.66", by=by) for _ in range(30)]
        try:
            assert guessing.wait(10)
            assert threads.submit(admitted, b"dx1", b"correct horse", by=by).result(timeout=10)
        finally:
            released.set()
        assert not any(guess.result() for guess in guesses)


def test_a_right_password_is_computed_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now, computed = 0.0, []
    matches = PasswordHash.matches

    def counted(password_hash: PasswordHash, password: bytes) -> bool:
        computed.append(password)
        return matches(password_hash, password)

    monkeypatch.setattr(PasswordHash, "matches", counted)
    by = users(lambda: now)
    for _ in range(3):
        assert admitted(b"dx1", b"correct horse", by=by)
    assert computed == [b"correct horse"]
    assert not admitted(b"dx1", b"correct horsf", by=by)
    assert not admitted(b"dx2", b"correct horse", by=by)
    now = 61.0
    assert admitted(b"dx1", b"correct horse", by=by)
    assert len(computed) == 4


def test_an_address_that_guesses_is_rejected_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    by = users(lambda: now)
    for name in (b"dx1", b"dx2", b"nobody") * 4:
        assert not admitted(name, b"guess", address="192.0.2.66", by=by)
    assert not admitted(b"dx1", b"correct horse", address="192.0.2.66", by=by)
    assert admitted(b"dx1", b"correct horse", by=by), "nobody locks a name"
    now = 61.0
    assert admitted(b"dx2", b"other", address="192.0.2.66", by=by)


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
