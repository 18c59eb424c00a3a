"""Logins at the page: wrong passwords by address, and sessions that a logout ends."""

from pathlib import Path

import pytest

from cxr_node.domain.password_hash import PasswordHash
from cxr_node.settings.operations import PageUserSection, WebSection
from cxr_node.web.access import Authenticator, TooManyAttempts
from cxr_node.web.ended_sessions import EndedSessions

PASSWORD = "correct horse"  # noqa: S105  # of nobody
_HASH = str(PasswordHash.from_password(PASSWORD, salt=bytes(16), cost=16))
SECTION = WebSection(users=(PageUserSection(name="kim", password_hash=_HASH),))
HERE, ELSEWHERE = "192.0.2.1", "192.0.2.66"


def outcomes(authenticator: Authenticator, name: str, *, times: int) -> list[str]:
    """Return what becomes of so many wrong passwords from elsewhere."""
    answers = []
    for _ in range(times):
        try:
            answers.append("right" if authenticator.log_in(name, "guess", address=ELSEWHERE) else "wrong")
        except TooManyAttempts:
            answers.append("too many")
    return answers


def test_a_known_name_is_answered_as_an_unknown_one() -> None:
    assert outcomes(Authenticator(SECTION, b"key"), "kim", times=7) == ["wrong"] * 5 + ["too many"] * 2
    assert outcomes(Authenticator(SECTION, b"key"), "nobody", times=7) == ["wrong"] * 5 + ["too many"] * 2


def test_no_one_locks_out_a_user_from_another_address() -> None:
    now = 0.0
    authenticator = Authenticator(SECTION, b"key", clock=lambda: now)
    outcomes(authenticator, "kim", times=50)

    assert authenticator.log_in("kim", PASSWORD, address=HERE) is not None
    with pytest.raises(TooManyAttempts):
        authenticator.log_in("kim", PASSWORD, address=ELSEWHERE)
    now = 61.0
    assert authenticator.log_in("kim", PASSWORD, address=ELSEWHERE) is not None


def test_an_address_guesses_twenty_passwords_a_minute() -> None:
    authenticator = Authenticator(SECTION, b"key")
    answers = [outcomes(authenticator, f"name{number}", times=1)[0] for number in range(25)]

    assert answers == ["wrong"] * 20 + ["too many"] * 5


def test_a_logout_ends_every_copy_of_the_session(tmp_path: Path) -> None:
    def authenticator() -> Authenticator:
        return Authenticator(SECTION, b"key", ended=EndedSessions(tmp_path / "web.ended"))

    first = authenticator()
    cookie, other = (first.log_in("kim", PASSWORD, address=HERE) for _ in range(2))
    person = first.person(cookie)
    assert person is not None
    first.log_out(person)

    for each in (first, authenticator()):  # also after a restart
        assert each.person(cookie) is None
        assert each.person(other) is not None
    assert person.token not in (tmp_path / "web.ended").read_text(encoding="utf-8")


def test_ended_sessions_are_forgotten_once_they_would_have_expired(tmp_path: Path) -> None:
    now = 0.0
    ended = EndedSessions(tmp_path / "web.ended", clock=lambda: now)
    ended.end("a", until=100.0)
    now = 200.0
    ended.end("b", until=300.0)

    assert not ended.has("a")
    assert ended.has("b")
    (tmp_path / "web.ended").write_bytes(b"")
    assert not EndedSessions(tmp_path / "web.ended").has("b"), "a damaged file does not stop the start"
