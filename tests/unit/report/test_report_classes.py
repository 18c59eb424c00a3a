"""In which SOP Classes results are composed, and what receiving makes of that."""

import pkgutil
from importlib import import_module

from cxr_node import pipeline, report
from cxr_node.report.header.header import ResultType


def test_no_result_is_composed_in_a_class_in_which_receiving_does_not_look_for_its_own() -> None:
    modules = [import_module(f"{report.__name__}.{found.name}") for found in pkgutil.iter_modules(report.__path__)]
    kinds = {each for module in modules for each in vars(module).values() if isinstance(each, ResultType)}

    assert len(kinds) >= 8
    assert {kind.sop_class_uid for kind in kinds}.isdisjoint(pipeline._RADIOGRAPHS)
