"""Languages of results by name: one TOML file in this folder for each name of `domain.result_languages`."""

import tomllib
from collections.abc import Mapping, Set
from dataclasses import MISSING, fields
from importlib.resources import files
from typing import Any

from cxr_node.domain.codes import Code
from cxr_node.domain.reading import Laterality
from cxr_node.domain.reasons import Note, Reason
from cxr_node.domain.result_languages import LANGUAGE_NAMES
from cxr_node.report import codes
from cxr_node.report.languages.language import Language, Phrases, Terms

ENGLISH_TERMS = Terms(
    findings={label: code.meaning for label, (code, _, _) in codes.FINDINGS.items()},
    structures={code: code.meaning.lower() for code in codes.STRUCTURES},
    statements={code: code.meaning for code in codes.STATEMENTS},
    presences={presence: presence.value for presence in codes.PRESENCES},
    sides={side: side.value for side in Laterality},
    views={view: code.meaning for view, code in codes.VIEWS.items()},
    measurements={key: code.meaning for key, code in codes.MEASUREMENTS.items()},
    observations={code: code.meaning for code in codes.OBSERVATIONS},
    concepts={code: code.meaning for code in codes.CONCEPTS},
    reasons={reason: reason.meaning for reason in Reason},
    notes={note: note.meaning for note in Note},
)
_PHRASES = {field.name for field in fields(Phrases)}
_REQUIRED_PHRASES = {field.name for field in fields(Phrases) if field.default is MISSING}


def parse_language(name: str, text: str) -> Language:
    """Return the language of `name`.toml: a code, phrases, and sections of `Terms` with English term = term.

    Without any section of terms it is English, whose terms are the codes' own meanings. A bundle's card may name a site
    in SNOMED CT's full wording ("Pleural structure"), so the sites are named by `codes` in English too.

    Raises
    ------
    ValueError
        If the text is not TOML, or a name in it is absent or unknown.
    """
    document = tomllib.loads(text)
    code, phrases = (document.pop(section, {}) for section in ("code", "phrases"))
    _check(f"{name}.toml [code]", {field.name for field in fields(Code)}, code)
    _check(f"{name}.toml [phrases]", _REQUIRED_PHRASES, phrases, optional=_PHRASES)
    if not document:
        meanings = {(key.scheme_designator, key.value): key.meaning for key in codes.STRUCTURES}
        return Language(code=Code(**code), terms=ENGLISH_TERMS, phrases=Phrases(**phrases), meanings=meanings)
    terms = _terms(name, document)
    meanings = {(key.scheme_designator, key.value): term for key, term in terms.by_code().items()}
    return Language(code=Code(**code), terms=terms, phrases=Phrases(**phrases), meanings=meanings)


def _terms(name: str, document: Mapping[str, Mapping[str, str]]) -> Terms:
    english: dict[str, Mapping[Any, str]] = {field.name: getattr(ENGLISH_TERMS, field.name) for field in fields(Terms)}
    _check(f"{name}.toml", set(english), document)
    for section, terms in english.items():
        _check(f"{name}.toml [{section}]", set(terms.values()), document[section])
    return Terms(
        **{section: {key: document[section][term] for key, term in terms.items()} for section, terms in english.items()}
    )


def _check(place: str, required: Set[str], table: Mapping[str, object], optional: Set[str] = frozenset()) -> None:
    absent, unknown = required - set(table), set(table) - required - optional
    if absent or unknown:
        raise ValueError(f"{place}: absent {sorted(absent)}, unknown {sorted(unknown)}")


LANGUAGES: Mapping[str, Language] = {
    name: parse_language(name, files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))
    for name in LANGUAGE_NAMES
}
"""Name in the settings and of the file to the language."""

ENGLISH = LANGUAGES["en"]
