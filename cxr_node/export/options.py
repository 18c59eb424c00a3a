"""Options of the de-identification profile, and the codes that name profile and options (PS3.16 CID 7050)."""

from enum import StrEnum

from cxr_node.domain.codes import Code, dcm

BASIC_PROFILE = dcm("113100", "Basic Application Confidentiality Profile")
_STRUCTURED_CONTENT = dcm("113104", "Clean Structured Content Option")
_GRAPHICS = dcm("113103", "Clean Graphics Option")


class Option(StrEnum):
    """Option of the profile that a person may choose; each keeps more than the basic profile."""

    MODIFIED_DATES = "modified-dates"
    DESCRIPTORS = "descriptors"
    PATIENT = "patient"
    DEVICE = "device"

    @property
    def code(self) -> Code:
        """Its code."""
        return _CODES[self]

    @property
    def meaning(self) -> str:
        """What is kept, in words."""
        return _MEANINGS[self]


_CODES = {
    Option.MODIFIED_DATES: dcm("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    Option.DESCRIPTORS: dcm("113105", "Clean Descriptors Option"),
    Option.PATIENT: dcm("113108", "Retain Patient Characteristics Option"),
    Option.DEVICE: dcm("113109", "Retain Device Identity Option"),
}
_MEANINGS = {
    Option.MODIFIED_DATES: "dates, moved by a number of days that is the same for all films of a patient; times of day",
    Option.DESCRIPTORS: "known words of descriptions of study, series and protocol",
    Option.PATIENT: "sex, age (90 years and more as 90), size and weight",
    Option.DEVICE: "manufacturer, model, station name, serial numbers and software versions",
}


def codes_of(options: frozenset[Option], *, is_result: bool = False) -> tuple[Code, ...]:
    """Return the codes of profile and options that an object is de-identified by.

    Results are composed anew: their structured content, graphics and descriptions have never had another origin than
    this node, and are clean whatever a person chose. Films have no structured content, and no graphics are kept.
    """
    chosen = options | {Option.DESCRIPTORS} if is_result else options
    codes = (BASIC_PROFILE, _GRAPHICS, _STRUCTURED_CONTENT, *(option.code for option in chosen))
    return tuple(sorted(codes, key=lambda code: code.value))
