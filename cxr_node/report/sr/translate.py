"""Translation of a content tree: Code Meanings in the language of the results."""

from copy import deepcopy

from pydicom.dataset import Dataset

from cxr_node.report.languages.language import Language
from cxr_node.report.sr.tree import items

_CODED = ("ConceptNameCodeSequence", "ConceptCodeSequence")


def translate(language: Language, root: Dataset) -> None:
    """Write the language's Code Meanings into a content tree. Code Values and Coding Scheme Designators stay.

    A Code Meaning may be a translation and is never a key (PS3.3 section 8.3). A code without a term in the language,
    such as the name of a row, keeps the wording of PS3.16.
    """
    if not language.meanings:
        return
    for _, item in items(root):
        for keyword in _CODED:
            if keyword in item:
                item[keyword].value = [_translated(language, entry) for entry in item[keyword].value]


def _translated(language: Language, entry: Dataset) -> Dataset:
    """Return a code in the language's words, as another item: equal codes of a tree share one."""
    meaning = language.meanings.get((str(entry.CodingSchemeDesignator), str(entry.get("CodeValue", ""))))
    if meaning is None or meaning == entry.CodeMeaning:
        return entry
    translated = deepcopy(entry)
    translated.CodeMeaning = meaning
    return translated
