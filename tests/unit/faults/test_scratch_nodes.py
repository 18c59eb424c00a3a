"""Settings of scratch nodes."""

from pathlib import Path

from cxr_node.faults import scratch


def test_a_scratch_node_has_users_and_peers_in_its_settings(tmp_path: Path) -> None:
    password_hash = f"scrypt:16:8:5:{'0' * 32}:{'0' * 64}"
    receive = {
        "tls_certificate": "a.pem",
        "tls_key": "k.pem",
        "users": [{"name": "dx1", "password_hash": password_hash}],
        "peers": [{"ae_title": "DX1"}, {"ae_title": "DX2", "maximum_associations": 3}],
    }

    settings = scratch.create_node(tmp_path / "node", destinations={}, receive=receive).settings.receive

    assert settings.users[0].password_hash.get_secret_value() == password_hash
    assert [(peer.ae_title, peer.maximum_associations) for peer in settings.peers] == [("DX1", 0), ("DX2", 3)]
