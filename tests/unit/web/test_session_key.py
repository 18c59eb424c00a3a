"""Key that signs sessions: whole or not there after a power failure, and refused if it is not whole."""

import os
import stat
from pathlib import Path

import pytest

from cxr_node.config import ConfigurationError
from cxr_node.domain.files import replace_whole
from cxr_node.domain.permissions import PageRole, Permissions
from cxr_node.settings.operations import OidcSection, WebSection
from cxr_node.web.access import Authenticator, session_key
from tests.support.accounts import MemoryAccounts

KEY_BYTES = 32


def test_a_key_is_created_once(tmp_path: Path) -> None:
    key = session_key(tmp_path)

    assert len(key) == KEY_BYTES
    assert session_key(tmp_path) == key
    assert [path.name for path in tmp_path.iterdir()] == ["web.key"]
    assert stat.S_IMODE((tmp_path / "web.key").stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR


@pytest.mark.parametrize("content", [b"", b"short", bytes(KEY_BYTES + 1)], ids=["empty", "short", "long"])
def test_a_key_that_is_not_whole_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "web.key").write_bytes(content)

    with pytest.raises(ConfigurationError) as refused:
        session_key(tmp_path)

    assert "remove the file" in refused.value.problems[0]


def test_a_key_has_its_name_only_after_it_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def power_fails(_descriptor: int) -> None:
        raise OSError

    monkeypatch.setattr(os, "fsync", power_fails)
    with pytest.raises(OSError):  # noqa: PT011  # any
        session_key(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_replaced_file_has_the_old_content_until_the_new_is_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings.sha256"
    replace_whole(file, b"old")
    flushed: list[bytes] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        flushed.append(file.read_bytes())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    replace_whole(file, b"new")

    # The file beside it, then the folder with the new name.
    assert flushed == [b"old", b"new"]


def test_a_session_of_the_provider_depends_on_the_key() -> None:
    """The settings alone are known to people outside: what is signed must hold more than a digest of them."""
    oidc, accounts = OidcSection(issuer="https://id.example", operators=("cxr-operator",)), MemoryAccounts()
    first, second = (
        Authenticator(WebSection(), bytes([number]) * KEY_BYTES, accounts=accounts, oidc=oidc) for number in (1, 2)
    )
    permissions = Permissions(role=PageRole.OPERATOR, sees_films=True)
    cookie = first.start_session("oidc/kim", permissions, address="192.0.2.1")
    is_valid, payload = first._signer.loads_unsafe(cookie)

    assert is_valid
    assert first.person(cookie) is not None
    assert second.person(second._signer.dumps(payload)) is None
