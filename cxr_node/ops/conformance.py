"""Tables of the DICOM Conformance Statement, generated from the code.

`python -m cxr_node.ops.conformance docs/reference/conformance.md` replaces the tables in the page and keeps its prose.
The words of the tables are in the template `conformance_tables.md.jinja`.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from jinja2 import Environment, StrictUndefined
from pydicom.charset import STAND_ALONE_ENCODINGS, python_encoding
from pydicom.datadict import dictionary_description, dictionary_VR, tag_for_keyword
from pydicom.tag import Tag
from pydicom.uid import UID

from cxr_node.deliver import destinations, outcome
from cxr_node.deliver.fhir_result import PRIVATE_SYSTEM, RESOURCES, SYSTEMS
from cxr_node.deliver.hl7 import ACKNOWLEDGMENTS
from cxr_node.deliver.hl7_result import OBSERVATIONS, REPORT_UID
from cxr_node.deliver.store_response import of_failure_reason
from cxr_node.deliver.web_outcome import of_http_status
from cxr_node.dicomweb import query
from cxr_node.domain.codes import Code
from cxr_node.domain.commitment import PUSH_MODEL, FailureReason
from cxr_node.domain.concepts import PRIVATE_SCHEME
from cxr_node.domain.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from cxr_node.domain.procedure_step import REASONS
from cxr_node.domain.reasons import Note, Reason
from cxr_node.domain.sop_classes import KEY_OBJECT_SELECTION, PRIOR_SOP_CLASSES, STORAGE_SOP_CLASSES, VERIFICATION
from cxr_node.export.attributes import action_table
from cxr_node.export.options import Option, codes_of
from cxr_node.pixels.decoding import CODECS, NATIVE
from cxr_node.priors import dicom, selection, sources
from cxr_node.receive.application_entity import TRANSFER_SYNTAXES
from cxr_node.receive.rejection import Rejection
from cxr_node.receive.status import StoreStatus
from cxr_node.receive.web import store_response
from cxr_node.report import check, codes
from cxr_node.report.header import patient_study
from cxr_node.report.kinds.registry import RESULT_KINDS
from cxr_node.report.languages.registry import LANGUAGES
from cxr_node.report.source import Observer
from cxr_node.ups import attributes, statuses, worklists

T = TypeVar("T")

_LAST_STATUS = 0xFFFF
_COPIED = {"Patient": patient_study.PATIENT, "Study": patient_study.STUDY, "Visit": patient_study.PATIENT_STUDY}
_TABLE = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def with_tables(page: str) -> str:
    """Return `page` with each table between `<!-- table: name -->` and `<!-- end -->` replaced.

    Raises
    ------
    KeyError
        If no table has that name.
    """
    return replace_tables(page, tables())


def replace_tables(page: str, generated: Mapping[str, str]) -> str:
    """Return `page` with each of its tables replaced by the generated one of that name, or raise KeyError."""
    return _TABLE.sub(lambda match: f"{match[1]}\n{generated[match[2]]}\n{match[3]}", page)


def tables() -> Mapping[str, str]:
    """Return each table as Markdown, by its name in the page."""
    environment = Environment(  # noqa: S701  # Markdown
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(files(__package__).joinpath("conformance_tables.md.jinja").read_text("utf-8"))
    module = template.make_module(
        {
            "UID": UID,
            "describe": _describe,
            "implementation_class_uid": IMPLEMENTATION_CLASS_UID,
            "implementation_version_name": IMPLEMENTATION_VERSION_NAME,
            "observer": Observer(),
            "scp": [VERIFICATION, PUSH_MODEL, *STORAGE_SOP_CLASSES, KEY_OBJECT_SELECTION],
            "scu": {uid for kind in destinations.DESTINATIONS for uid in kind.scu_sop_classes}
            | {uid for kind in sources.SOURCES for uid in kind.scu_sop_classes}
            | {uid for kind in worklists.WORKLISTS for uid in kind.scu_sop_classes}
            | {kind.result_type.sop_class_uid for kind in RESULT_KINDS},
            "query_keys": _prior_query_keys(),
            "prior_matching": _PRIOR_MATCHING,
            "prior_classes": PRIOR_SOP_CLASSES,
            "prior_syntaxes": dicom.TRANSFER_SYNTAXES,
            "ups_statuses": statuses.STATUSES,
            "ups_keys": [element.keyword for element in attributes.query(workitem=None, station=None, label="")],
            "ups_reasons": REASONS.values(),
            "transfer_syntaxes": TRANSFER_SYNTAXES,
            "decoded": {str(uid) for uid in (*NATIVE, *CODECS)},
            "store_statuses": StoreStatus,
            "web_store_statuses": store_response.STATUSES,
            "searched": query.MATCHED.values(),
            "searched_lists": query.LISTS,
            "commitment_failures": FailureReason,
            "association_rejections": Rejection,
            "hl7_acknowledgments": ACKNOWLEDGMENTS,
            "hl7_observations": OBSERVATIONS,
            "fhir_kinds": RESOURCES,
            "fhir_code_systems": {**SYSTEMS, PRIVATE_SCHEME: PRIVATE_SYSTEM},
            "status_ranges": list(_status_ranges()),
            "web_reason_ranges": list(_web_reason_ranges()),
            "web_status_ranges": list(_ranges(range(200, 600), of_http_status, str)),
            "result_kinds": RESULT_KINDS,
            "result_attributes": _result_attributes(),
            "copied_attributes": _COPIED,
            "private": _private_codes(),
            **_deidentification(),
            "coded_findings": codes.FINDINGS,
            "result_languages": LANGUAGES,
            "character_set_terms": python_encoding,
            "stand_alone": STAND_ALONE_ENCODINGS,
        }
    )
    helpers = {"words", "attribute"}
    macros = {name: macro for name, macro in vars(module).items() if callable(macro) and name not in helpers}
    return {name.replace("_", "-"): str(macro()) for name, macro in macros.items()}


_PRIOR_MATCHING = {
    "STUDY": ("PatientID", "IssuerOfPatientID", "ModalitiesInStudy"),
    "SERIES": ("StudyInstanceUID",),
    "IMAGE": ("StudyInstanceUID", "SeriesInstanceUID"),
}


def _prior_query_keys() -> Mapping[str, tuple[str, ...]]:
    """Return the attributes that prior films are asked for by, at each level."""
    return {
        "STUDY": selection.STUDY_KEYS,
        "SERIES": ("StudyInstanceUID", *selection.SERIES_KEYS),
        "IMAGE": ("StudyInstanceUID", "SeriesInstanceUID", *selection.IMAGE_KEYS),
    }


def _deidentification() -> Mapping[str, object]:
    """Return the actions of the export, its options, and the codes of those of the profile."""
    profile, *options = codes_of(frozenset(Option))
    return {"actions": action_table(), "profile": profile, "profile_options": Option, "profile_codes": options}


def _describe(keyword: str) -> tuple[str, int, int, str]:
    """Return the name, group, element and VR of an attribute."""
    tag = Tag(tag_for_keyword(keyword) or 0)
    return dictionary_description(tag), tag.group, tag.element, dictionary_VR(tag)


def _status_ranges() -> Iterator[tuple[str, outcome.DeliveryOutcome]]:
    """Yield each range of statuses with one outcome; statuses that are retried are summarised in the last line."""
    first, means = 0, outcome.of_status(0)
    for status in range(1, _LAST_STATUS + 2):
        following = outcome.of_status(status) if status <= _LAST_STATUS else None
        if following is not means:
            if means is not outcome.DeliveryOutcome.RETRY:
                yield (f"{first:04X}" if status - first == 1 else f"{first:04X} to {status - 1:04X}"), means
            if following is not None:
                first, means = status, following
    yield "any other, or no response", outcome.DeliveryOutcome.RETRY


def _web_reason_ranges() -> Iterator[tuple[str, outcome.DeliveryOutcome]]:
    """Yield each range of Failure Reasons of STOW-RS with one outcome, as `_status_ranges`."""
    for reasons, means in _ranges(range(1, _LAST_STATUS + 1), partial(of_failure_reason, further={}), "{:04X}".format):
        if means is not outcome.DeliveryOutcome.RETRY or "to" not in reasons:
            yield reasons, means
    yield "any other", outcome.DeliveryOutcome.RETRY


def _ranges(values: range, outcome_of: Callable[[int], T], text: Callable[[int], str]) -> Iterator[tuple[str, T]]:
    """Yield each range of values with one outcome, the values as `text` writes them."""
    for means, group in groupby(values, outcome_of):
        members = list(group)
        yield text(members[0]) + (f" to {text(members[-1])}" if len(members) > 1 else ""), means


def _result_attributes() -> list[tuple[str, str, str]]:
    """Return keyword, Modality and presence of the attributes of results; a fixed value replaces the presence."""
    rows = [(keyword, "all", "value") for keyword in check.TYPE_1]
    rows += [(keyword, "all", "copied, may be empty") for keyword in check.TYPE_2]
    rows += [(keyword, "all", f"`{value}`") for keyword, value in check.FLAGS.items()]
    # Types of one Modality promise the same, which the contract test of result kinds holds.
    for modality, one in {kind.result_type.modality: kind.result_type for kind in RESULT_KINDS}.items():
        flags = {keyword: f"`{value}`" for keyword, value in one.flags.items()}
        rows += [(keyword, modality, flags.get(keyword, "value")) for keyword in one.type_1]
        rows += [(keyword, modality, "may be empty") for keyword in one.type_2]
    fixed = {(keyword, modality) for keyword, modality, presence in rows if presence.startswith("`")}
    return [row for row in rows if row[2].startswith("`") or row[:2] not in fixed]


def _private_codes() -> Mapping[str, list[Code]]:
    """Return the codes of the private scheme by their use."""
    return {
        "name of a row": [codes.NOT_PROCESSED, codes.PROCESSING_NOTE],
        "row of an HL7 message": [REPORT_UID],
        "finding": [code for code, _, _ in codes.FINDINGS.values() if code.scheme_designator == codes.PRIVATE_SCHEME],
        "measurement": [*codes.MEASUREMENTS.values()],
        "measurement or observation": [
            code for code in codes.MEASURE_CODES if code.scheme_designator == codes.PRIVATE_SCHEME
        ],
        "reason not processed": [codes.not_processed(reason) for reason in Reason],
        "processing note": [codes.processing_note(note) for note in Note],
    }


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
