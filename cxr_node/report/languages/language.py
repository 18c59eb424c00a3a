"""A language: what it calls the things that are coded, and its sentences. Codes are the same in every language."""

from collections.abc import Mapping
from dataclasses import dataclass

from cxr_node.domain.codes import Code
from cxr_node.domain.radiograph import View
from cxr_node.domain.reading import Laterality, Presence
from cxr_node.domain.reasons import Note, Reason
from cxr_node.report import codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a language calls what the node speaks of; each is a Code Meaning, at most 64 characters.

    `findings` are by label and `measurements` by key, as in `codes`; `structures` and `statements` by their code.
    """

    findings: Mapping[str, str]
    structures: Mapping[Code, str]
    statements: Mapping[Code, str]
    presences: Mapping[Presence, str]
    sides: Mapping[Laterality, str]
    views: Mapping[View, str]
    measurements: Mapping[str, str]
    reasons: Mapping[Reason, str]
    notes: Mapping[Note, str]

    def by_code(self) -> dict[Code, str]:
        """Return every word by the code that it is the meaning of."""
        return {
            **{codes.FINDINGS[label][0]: word for label, word in self.findings.items()},
            **self.structures,
            **self.statements,
            **{codes.PRESENCES[presence]: word for presence, word in self.presences.items()},
            **{codes.LATERALITIES[side]: word for side, word in self.sides.items()},
            **{codes.VIEWS[view]: word for view, word in self.views.items()},
            **{codes.MEASUREMENTS[key]: word for key, word in self.measurements.items()},
            **{codes.not_processed(reason): word for reason, word in self.reasons.items()},
            **{codes.processing_note(note): word for note, word in self.notes.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """A language's sentences, with names in braces where words and numbers go.

    `between` stands between sentences, `comma` between the words of a list, `decimal_sign` in numbers.
    """

    caution: str
    no_finding: str
    nothing_looked_for: str
    score_meaning: str
    finding: str
    places: str
    looked_for: str
    not_analysed: str
    detail: str
    note: str
    measurement: str
    film: str
    between: str = " "
    comma: str = ", "
    decimal_sign: str = "."


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """A language of the results; `code` is the value of Language of Content Item and Descendants (121049)."""

    code: Code
    words: Terms
    sentences: Phrases
    meanings: Mapping[tuple[str, str], str]
    """Coding Scheme Designator and Code Value to the Code Meaning that is written in place of the code's own."""

    def meaning(self, code: Code) -> str:
        """Return what the language calls a code; a bundle's own code keeps the meaning that its card gives."""
        return self.meanings.get((code.scheme_designator, code.value), code.meaning)

    def number(self, value: float, specification: str) -> str:
        """Return a number as the language writes it."""
        return format(value, specification).replace(".", self.sentences.decimal_sign)


def translation(code: Code, words: Terms, sentences: Phrases) -> Language:
    """Return a language whose words are written in place of the codes' own meanings (PS3.3 section 8.3)."""
    meanings = {(each.scheme_designator, each.value): word for each, word in words.by_code().items()}
    return Language(code=code, words=words, sentences=sentences, meanings=meanings)
