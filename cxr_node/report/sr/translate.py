"""Translation of a content tree: Code Meanings in the language of the results."""

from copy import deepcopy

from pydicom.dataset import Dataset

from cxr_node.report.header.elements import tag_of
from cxr_node.report.languages.language import Language
from cxr_node.report.sr.tree import items

_CODED = tag_of("ConceptNameCodeSequence"), tag_of("ConceptCodeSequence")


def translate(language: Language, root: Dataset) -> None:
    """Write the language's Code Meanings into a content tree. Code Values and Coding Scheme Designators stay.

    A Code Meaning may be a translation and is never a key (PS3.3 section 8.3). A code without a term in the language,
    such as the name of a row, keeps the wording of PS3.16.
    """
    if not language.meanings:
        return
    translated: dict[int, tuple[Dataset, Dataset]] = {}
    for _, item in items(root):
        for tag in _CODED:
            if tag in item:
                element = item[tag]
                entries = [_once(language, entry, translated) for entry in element.value]
                if any(new is not old for new, old in zip(entries, element.value, strict=True)):
                    element.value = entries


def _once(language: Language, entry: Dataset, translated: dict[int, tuple[Dataset, Dataset]]) -> Dataset:
    """Return the translation of a code, one for all uses of an item; `translated` holds both by the item's identity."""
    known = translated.get(id(entry))
    if known is None:
        known = translated[id(entry)] = entry, _translated(language, entry)
    return known[1]


def _translated(language: Language, entry: Dataset) -> Dataset:
    """Return a code in the language's words, as another item: equal codes of a tree share one."""
    meaning = language.meanings.get((str(entry.CodingSchemeDesignator), str(entry.get("CodeValue", ""))))
    if meaning is None or meaning == entry.CodeMeaning:
        return entry
    translated = deepcopy(entry)
    translated.CodeMeaning = meaning
    return translated
