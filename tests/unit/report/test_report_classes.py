"""In which SOP Classes results are composed, and what receiving makes of that."""

import pkgutil
from importlib import import_module

from cxr_node import pipeline
from cxr_node.report import kinds
from cxr_node.report.header.header import ResultType


def test_no_result_is_composed_in_a_class_in_which_receiving_does_not_look_for_its_own() -> None:
    modules = [import_module(f"{kinds.__name__}.{found.name}") for found in pkgutil.iter_modules(kinds.__path__)]
    types = {each for module in modules for each in vars(module).values() if isinstance(each, ResultType)}

    assert len(types) >= 8
    assert {kind.sop_class_uid for kind in types}.isdisjoint(pipeline._RADIOGRAPHS)
