"""Access control by AE title and address."""

from ipaddress import ip_network

import pytest

from cxr_node.domain.identifiers import AeTitle
from cxr_node.receive.admission import AccessControl, PeerRule
from cxr_node.receive.rejection import Rejection

ADDRESS = "10.0.7.20"

ANY_SENDER = AccessControl(ae_title=AeTitle("CXRNODE"))
LISTED = AccessControl(ae_title=AeTitle("CXRNODE"), calling_ae_titles=frozenset({AeTitle("DX1"), AeTitle("DX2")}))


def test_any_calling_title_is_allowed_without_a_list() -> None:
    assert ANY_SENDER.rejection(calling_ae_title="SOMEONE", called_ae_title="CXRNODE", address=ADDRESS) is None


def test_padding_around_ae_titles_is_ignored() -> None:
    assert LISTED.rejection(calling_ae_title="DX1             ", called_ae_title="  CXRNODE", address=ADDRESS) is None


def test_an_unknown_called_ae_title_is_rejected() -> None:
    rejection = ANY_SENDER.rejection(calling_ae_title="DX1", called_ae_title="PACS", address=ADDRESS)
    assert rejection is Rejection.CALLED_AE_TITLE_NOT_RECOGNIZED


def test_any_called_title_is_allowed_if_none_is_required() -> None:
    lenient = AccessControl(ae_title=AeTitle("CXRNODE"), require_called_ae_title=False)
    assert lenient.rejection(calling_ae_title="DX1", called_ae_title="ANY-SCP", address=ADDRESS) is None


def test_an_unlisted_calling_title_is_rejected() -> None:
    rejection = LISTED.rejection(calling_ae_title="DX3", called_ae_title="CXRNODE", address=ADDRESS)
    assert rejection is Rejection.CALLING_AE_TITLE_NOT_RECOGNIZED


def test_ae_titles_are_case_sensitive() -> None:
    assert LISTED.rejection(calling_ae_title="dx1", called_ae_title="CXRNODE", address=ADDRESS) is not None


@pytest.mark.parametrize("title", ["", "                ", "A\\B", "TAB\tTITLE"])
def test_an_invalid_calling_title_is_rejected_without_a_list(title: str) -> None:
    assert ANY_SENDER.rejection(calling_ae_title=title, called_ae_title="CXRNODE", address=ADDRESS) is not None


PEERS = AccessControl(
    ae_title=AeTitle("CXRNODE"),
    peers=(
        PeerRule(ae_title=AeTitle("DX1"), networks=(ip_network("10.0.7.0/24"), ip_network("2001:db8::/32"))),
        PeerRule(ae_title=AeTitle("DX2"), networks=(ip_network("10.0.8.5/32"),), maximum_associations=1),
        PeerRule(ae_title=AeTitle("DX2"), networks=(ip_network("10.0.9.0/24"),), maximum_associations=9),
        PeerRule(ae_title=AeTitle("GATEWAY")),
    ),
)


@pytest.mark.parametrize(
    ("title", "address"),
    [
        ("DX1", "10.0.7.20"),
        ("DX1", "::ffff:10.0.7.20"),  # as a socket for both families names an IPv4 peer
        ("DX1", "2001:db8::1"),
        ("DX2", "10.0.9.1"),
        ("GATEWAY", "192.0.2.1"),
        ("GATEWAY", "fe80::1%eth0"),
    ],
)
def test_a_peer_is_allowed_from_its_networks(title: str, address: str) -> None:
    assert PEERS.rejection(calling_ae_title=title, called_ae_title="CXRNODE", address=address) is None


@pytest.mark.parametrize(
    ("title", "address"),
    [("DX1", "10.0.8.5"), ("DX2", "10.0.7.20"), ("DX1", "::1"), ("DX3", "10.0.7.20"), ("", "10.0.7.20")],
)
def test_a_peer_from_another_network_is_rejected_as_unknown(title: str, address: str) -> None:
    rejection = PEERS.rejection(calling_ae_title=title, called_ae_title="CXRNODE", address=address)
    assert rejection is Rejection.CALLING_AE_TITLE_NOT_RECOGNIZED


def test_the_peer_rule_is_selected_by_network() -> None:
    from_ninth = PEERS.peer(calling_ae_title="DX2 ", address="10.0.9.1")
    assert from_ninth is not None
    assert from_ninth.maximum_associations == 9
    assert PEERS.peer(calling_ae_title="DX3", address="10.0.9.1") is None


def test_title_list_and_peer_rules_must_both_allow() -> None:
    both = AccessControl(ae_title=AeTitle("CXRNODE"), calling_ae_titles=frozenset({AeTitle("DX2")}), peers=PEERS.peers)
    assert both.rejection(calling_ae_title="DX1", called_ae_title="CXRNODE", address="10.0.7.20") is not None
    assert both.rejection(calling_ae_title="DX2", called_ae_title="CXRNODE", address="10.0.9.1") is None
