"""The languages that results can be in, and a content tree put into one."""

from collections.abc import Mapping
from copy import deepcopy

from pydicom.dataset import Dataset

from cxr_node.report.languages.chinese import CHINESE
from cxr_node.report.languages.english import ENGLISH
from cxr_node.report.languages.french import FRENCH
from cxr_node.report.languages.german import GERMAN
from cxr_node.report.languages.japanese import JAPANESE
from cxr_node.report.languages.language import Language
from cxr_node.report.languages.spanish import SPANISH
from cxr_node.report.sr.tree import items

LANGUAGES: Mapping[str, Language] = {
    "en": ENGLISH,
    "zh": CHINESE,
    "de": GERMAN,
    "es": SPANISH,
    "fr": FRENCH,
    "ja": JAPANESE,
}
"""Name in the settings to the language."""

_CODED = ("ConceptNameCodeSequence", "ConceptCodeSequence")


def translate(language: Language, root: Dataset) -> None:
    """Write the language's Code Meanings into a content tree. Code Values and Coding Scheme Designators stay.

    A Code Meaning may be a translation and is never a key (PS3.3 section 8.3). What the language has no
    word for, such as the names of rows, keeps the wording of PS3.16.
    """
    if not language.meanings:
        return
    for _, item in items(root):
        for keyword in _CODED:
            if keyword in item:
                item[keyword].value = [_said(language, entry) for entry in item[keyword].value]


def _said(language: Language, entry: Dataset) -> Dataset:
    """Return a code in the language's words: another item, for equal codes of a tree are one and the same."""
    meaning = language.meanings.get((str(entry.CodingSchemeDesignator), str(entry.get("CodeValue", ""))))
    if meaning is None or meaning == entry.CodeMeaning:
        return entry
    other = deepcopy(entry)
    other.CodeMeaning = meaning
    return other
