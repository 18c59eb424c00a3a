"""Results in words: their kinds, and which of a study's results is its report."""

from collections.abc import Sequence

from cxr_node.queries.browse import Row
from cxr_node.report.kinds.registry import REPORT_FORMS, RESULT_KINDS

_NAMES = {"pdf": "PDF", "cad": "CAD", "ohif": "OHIF"}
_WORDS = {
    kind.result_type.name: " ".join(_NAMES.get(word, word) for word in kind.name.split("-")) for kind in RESULT_KINDS
}
_REPORTS = [form.result_type.name for form in REPORT_FORMS]


def kind_words(name: str) -> str:
    """Return a stored result kind in words; itself if this version does not know it."""
    return _WORDS.get(name, name)


def report_of(results: Sequence[Row]) -> Row | None:
    """Return the newest report of a study in its best form; no other Structured Report is one."""
    for form in _REPORTS:
        for result in reversed(results):
            if result["kind"] == form:
                return result
    return None
