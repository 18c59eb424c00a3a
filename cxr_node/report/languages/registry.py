"""Registry of the languages of results. A new language is one file in this package and one line here."""

from collections.abc import Mapping

from cxr_node.report.languages.chinese import CHINESE
from cxr_node.report.languages.english import ENGLISH
from cxr_node.report.languages.french import FRENCH
from cxr_node.report.languages.german import GERMAN
from cxr_node.report.languages.japanese import JAPANESE
from cxr_node.report.languages.language import Language
from cxr_node.report.languages.spanish import SPANISH

LANGUAGES: Mapping[str, Language] = {
    "en": ENGLISH,
    "zh": CHINESE,
    "de": GERMAN,
    "es": SPANISH,
    "fr": FRENCH,
    "ja": JAPANESE,
}
"""Name in the settings to the language."""
