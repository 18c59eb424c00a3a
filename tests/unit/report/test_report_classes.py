"""SOP Classes of results, and their treatment by the receiving role."""

from cxr_node import pipeline
from cxr_node.report.kinds.registry import RESULT_KINDS


def test_no_result_has_a_sop_class_whose_instances_are_all_films() -> None:
    """Receiving looks for results of our own only in other SOP Classes."""
    assert len(RESULT_KINDS) >= 8
    assert {kind.result_type.sop_class_uid for kind in RESULT_KINDS}.isdisjoint(pipeline._RADIOGRAPHS)
