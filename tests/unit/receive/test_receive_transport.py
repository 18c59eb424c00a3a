"""The end of associations."""

from pynetdicom import AE
from pynetdicom.association import Association

from cxr_node.receive.upper_layer.association import end_associations


def test_an_association_whose_threads_have_not_started_is_ended() -> None:
    """As where the node stops in the moment in which a connection is accepted."""
    association = Association(AE(), "acceptor")

    end_associations([association])

    assert association.ident is None
    assert association._kill
