"""Settings of reception, in a running node."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cxr_node import config
from cxr_node.db import migrate
from cxr_node.domain.password_hash import PasswordHash
from cxr_node.wiring import roles
from cxr_node.wiring.process import Process
from tests.support import certificates, films, peers


@contextmanager
def serving(folder: Path, receive: dict[str, Any], **tables: dict[str, Any]) -> Iterator[int]:
    """Run the role that receives with these settings; the value is its port."""
    settings = config.parse(
        {"node": {"data_folder": str(folder / "data")}, "receive": {"port": 0, **receive}, **tables}
    )
    with Process.open(settings, is_audited=True) as process:
        migrate.upgrade(process.database)
        with roles.receive(process) as address:
            yield int(address.rpartition(":")[2])


def test_films_are_rejected_within_the_reserve_but_not_echo(tmp_path: Path) -> None:
    film = films.written(films.dx(), tmp_path)
    with serving(tmp_path, {}, archive={"reserve_bytes": 2**62}) as port:
        refused = peers.storescu(port, film)
        assert refused.returncode != 0
        assert "Temporary Congestion" in refused.stderr
        assert peers.echoscu(port).returncode == 0
    with serving(tmp_path, {}) as port:
        assert peers.storescu(port, film).returncode == 0


def test_peers_users_and_tls_follow_the_settings(tmp_path: Path) -> None:
    film = films.written(films.dx(), tmp_path)
    authority = certificates.authority(tmp_path)
    shown = certificates.issued(tmp_path, authority, "node")
    modality = certificates.issued(tmp_path, authority, "modality")
    receive = {
        "tls_certificate": str(shown.certificate),
        "tls_key": str(shown.key),
        "tls_peers_ca": str(authority.certificate),
        "peers": [
            {"ae_title": "DX1", "addresses": ["127.0.0.1"]},
            {"ae_title": "DX2", "addresses": ["192.0.2.7"]},
        ],
        "users": [{"name": "dx1", "password_hash": str(PasswordHash.from_password("secret", salt=bytes(16), cost=16))}],
    }
    secured = [*modality.dcmtk, "+cf", str(authority.certificate)]
    password = ["-usr", "dx1", "-pwd", "secret"]
    with serving(tmp_path, receive) as port:
        assert peers.storescu(port, film, calling="DX1", options=[*secured, *password]).returncode == 0
        assert peers.storescu(port, film, calling="DX1", options=secured).returncode != 0
        assert peers.storescu(port, film, calling="DX2", options=[*secured, *password]).returncode != 0
        anonymous = ["+tla", "+cf", str(authority.certificate)]
        assert peers.storescu(port, film, calling="DX1", options=[*anonymous, *password]).returncode != 0


def test_a_film_above_the_size_in_the_settings_is_rejected(tmp_path: Path) -> None:
    film = films.written(films.dx(), tmp_path)
    with serving(tmp_path, {"maximum_object_bytes": 1000}) as port:
        refused = peers.storescu(port, film)
        assert refused.returncode != 0
        assert "CannotUnderstand" in refused.stderr
