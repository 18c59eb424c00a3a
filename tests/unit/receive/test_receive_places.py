"""Places: which connections are closed for others, and how many associations a known peer may have."""

from types import SimpleNamespace
from typing import cast

from pynetdicom.association import Association

from cxr_node.domain.identifiers import AeTitle
from cxr_node.receive.admission import AssociationLimiter, PeerRule
from cxr_node.receive.upper_layer.association import AcceptorAssociation
from cxr_node.receive.upper_layer.places import closable


def connection(
    name: str, opened_at: float, *, address: str = "192.0.2.66", has_request: bool = False, has_ended: bool = False
) -> AcceptorAssociation:
    requestor = SimpleNamespace(primitive=object() if has_request else None, address=address)
    stub = SimpleNamespace(name=name, opened_at=opened_at, requestor=requestor, has_ended=has_ended)
    return cast("AcceptorAssociation", stub)


def order_of_closing(connections: list[AcceptorAssociation]) -> list[str]:
    """Return the names of connections in the order in which they are closed for others."""
    left, names = list(connections), []
    while (closed := closable(left)) is not None:
        left.remove(closed)
        names.append(closed.name)
    return names


def test_ended_associations_are_closed_before_silent_connections() -> None:
    connections = [
        connection("silent", 1.0),
        connection("rejected", 3.0, has_request=True, has_ended=True),
        connection("open", 0.0, has_request=True),
        connection("no request", 2.0, has_ended=True),
    ]

    assert order_of_closing(connections) == ["no request", "rejected", "silent"]


def test_the_oldest_connection_of_the_address_with_most_is_closed() -> None:
    """A known peer that has just connected is not closed for a stranger with many connections."""
    known = connection("known", 0.0, address="192.0.2.1")
    others = [connection(f"other {number}", float(number)) for number in (3, 2, 1)]

    assert order_of_closing([known, *others])[:2] == ["other 1", "other 2"]


def opened_association() -> Association:
    stub = SimpleNamespace(is_alive=lambda: True, is_released=False, is_aborted=False, is_rejected=False)
    return cast("Association", stub)


def test_at_most_half_of_the_places_are_kept_for_known_peers() -> None:
    peers = [PeerRule(ae_title=AeTitle(f"DX{number}")) for number in range(40)]
    limiter = AssociationLimiter(peers, places=8)

    assert [limiter.admits(peers[0], opened_association()) for _ in range(5)] == [True] * 4 + [False]
    assert all(limiter.admits(peer, opened_association()) for peer in peers[1:5])


def test_the_place_of_an_ended_association_is_free_again() -> None:
    peer = PeerRule(ae_title=AeTitle("DX1"), maximum_associations=1)
    limiter, first = AssociationLimiter([peer], places=8), opened_association()

    assert limiter.admits(peer, first)
    assert not limiter.admits(peer, opened_association())
    first.is_rejected = True
    assert limiter.admits(peer, opened_association())
