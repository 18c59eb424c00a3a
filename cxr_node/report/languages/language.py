"""Language of the results: its terms for coded concepts and its phrases. Codes are the same in every language."""

from collections.abc import Mapping
from dataclasses import dataclass

from cxr_node.domain.codes import Code
from cxr_node.domain.film_geometry import View
from cxr_node.domain.reading import Laterality, Presence
from cxr_node.domain.reasons import Note, Reason
from cxr_node.report import codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Code Meanings in a language, at most 64 characters each.

    `findings` are by label and `measurements` by key, as in `codes`; tables without a key type of their own by code.
    """

    findings: Mapping[str, str]
    structures: Mapping[Code, str]
    statements: Mapping[Code, str]
    presences: Mapping[Presence, str]
    sides: Mapping[Laterality, str]
    views: Mapping[View, str]
    measurements: Mapping[str, str]
    observations: Mapping[Code, str]
    concepts: Mapping[Code, str]
    reasons: Mapping[Reason, str]
    notes: Mapping[Note, str]

    def by_code(self) -> dict[Code, str]:
        """Return the term of every code."""
        return {
            **{codes.FINDINGS[label][0]: term for label, term in self.findings.items()},
            **self.structures,
            **self.statements,
            **{codes.PRESENCES[presence]: term for presence, term in self.presences.items()},
            **{codes.LATERALITIES[side]: term for side, term in self.sides.items()},
            **{codes.VIEWS[view]: term for view, term in self.views.items()},
            **{codes.MEASUREMENTS[key]: term for key, term in self.measurements.items()},
            **self.observations,
            **self.concepts,
            **{codes.not_processed(reason): term for reason, term in self.reasons.items()},
            **{codes.processing_note(note): term for note, term in self.notes.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """Sentences of a language, with names in braces for terms and numbers, and its separators."""

    caution: str
    impression: str
    verdict_abnormal: str
    verdict_uncertain: str
    verdict_ratio_above_normal: str
    verdict_normal: str
    verdict_no_targets: str
    verdict_not_analysed: str
    suspected: str
    undetermined: str
    by_score: str
    by_ratio: str
    place: str
    side_not_determined: str
    ratio: str
    ratio_enlarged: str
    ratio_borderline: str
    ratio_above_normal: str
    compared: str
    change_beyond: str
    change_within: str
    awaits_prior: str
    caveat_ap: str
    caveat_unknown: str
    quality_usable: str
    quality_limited: str
    quality_unusable: str
    no_targets: str
    score_meaning: str
    places: str
    absent_findings: str
    not_analysed: str
    detail: str
    note: str
    film: str
    picture_original: str
    picture_findings: str
    picture_anatomy: str
    soft_tissue: str
    models: str
    page_title: str
    page_patient: str
    page_patient_id: str
    page_birth_date: str
    page_sex: str
    page_study_date: str
    page_accession_number: str
    page_measurements: str
    page_more: str
    sentence_separator: str = " "
    list_separator: str = ", "
    decimal_sign: str = "."
    term_case: str = "lower within a sentence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """A language of the results; `code` is the value of Language of Content Item and Descendants (121049)."""

    code: Code
    terms: Terms
    phrases: Phrases
    meanings: Mapping[tuple[str, str], str]
    """Coding Scheme Designator and Code Value to the Code Meaning that replaces the code's own."""

    @property
    def is_english(self) -> bool:
        """Whether results may have technical comments, which exist in English only."""
        return self.code.value.startswith("en")

    def meaning(self, code: Code) -> str:
        """Return the term of a code; a bundle's own code keeps the meaning that its card gives."""
        return self.meanings.get((code.scheme_designator, code.value), code.meaning)

    def within_sentence(self, code: Code) -> str:
        """Return the term of a code as written within a sentence: without a capital, but in German."""
        term = self.meaning(code)
        return term if self.phrases.term_case == "as is" else f"{term[:1].lower()}{term[1:]}"

    def number(self, value: float, specification: str) -> str:
        """Return a number with the language's decimal sign."""
        return format(value, specification).replace(".", self.phrases.decimal_sign)
