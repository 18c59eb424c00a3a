"""Kinds of image that are no plain film by their header: a table of rules, each with a reason and a note.

What is looked at: Image Type (0008,0008), Derivation Description and Code Sequence (0008,2111), (0008,9215), Conversion
Type (0008,0064), Quality Control Image (0028,0300) and Subject (0010,0200), and the view's elements.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from pydicom import uid
from pydicom.dataset import Dataset

from cxr_node.domain.image_kind import ImageKind
from cxr_node.domain.reasons import Note, Reason
from cxr_node.pixels import elements
from cxr_node.pixels.view import stated_views

_WORD = re.compile(r"[A-Z]+")
_SECONDARY_CAPTURES = (
    uid.SecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
)
_MADE_ON_A_WORKSTATION = ("WSD", "SYN")
_DECUBITUS = ("102535000", "102536004", "F-10318", "F-10319")
_LORDOTIC = ("R-10244",)
"""View modifiers (PS3.16 CID 4011) of SNOMED CT and SNOMED-RT; other codes count by the words of their meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRule:
    """How a kind is recognised, with its reason and note. `where` returns the element that says so, or ""."""

    kind: ImageKind
    where: Callable[[Dataset], str]
    reason: Reason
    note: Note = Note.SPECIAL_IMAGE


def _types(dataset: Dataset) -> tuple[str, ...]:
    return tuple(value.upper().replace("_", " ") for value in elements.texts(dataset, "ImageType"))


def _is_derived(dataset: Dataset) -> bool:
    return _types(dataset)[:1] == ("DERIVED",)


def _derivation(dataset: Dataset) -> str:
    """Return the words of Derivation Description and of the meanings of the Derivation Codes, in capitals."""
    meanings = (elements.text(item, "CodeMeaning") for item in elements.items(dataset, "DerivationCodeSequence"))
    return _words(" ".join((elements.text(dataset, "DerivationDescription"), *meanings)))


def _words(text: str) -> str:
    return f" {' '.join(_WORD.findall(text.upper()))} "


def _by_words(*phrases: str, types: tuple[str, ...] = (), in_series: bool = False) -> Callable[[Dataset], str]:
    """Return a rule: a phrase in the derivation or, `in_series`, in Series Description; or a value of Image Type.

    Image Type counts from its third value on: the first two are ORIGINAL or DERIVED and PRIMARY or SECONDARY.
    """

    def where(dataset: Dataset) -> str:
        if any(value in types for value in _types(dataset)[2:]):
            return "Image Type (0008,0008)"
        if any(f" {phrase} " in _derivation(dataset) for phrase in phrases):
            return "Derivation Description or Code (0008,2111), (0008,9215)"
        series = _words(elements.text(dataset, "SeriesDescription"))
        if in_series and any(f" {phrase} " in series for phrase in phrases):
            return "Series Description (0008,103E)"
        return ""

    return where


def _quality_control(dataset: Dataset) -> str:
    for keyword, name in (
        ("QualityControlImage", "Quality Control Image (0028,0300)"),
        ("QualityControlSubject", "Quality Control Subject (0010,0200)"),
    ):
        if elements.text(dataset, keyword).upper() == "YES":
            return name
    return ""


_products = _by_words("HEAT MAP", "HEATMAP", "SALIENCY", "CAD", "AI", "SCREENSHOT", "SCREEN CAPTURE", in_series=True)


def _capture(dataset: Dataset) -> str:
    """A picture that a workstation or an analysis made: a film that was only scanned or converted is none."""
    is_capture = elements.text(dataset, "SOPClassUID") in _SECONDARY_CAPTURES
    is_made_on_workstation = elements.text(dataset, "ConversionType").upper() in _MADE_ON_A_WORKSTATION
    if is_capture and is_made_on_workstation and _types(dataset)[:2] == ("DERIVED", "SECONDARY"):
        return "Conversion Type (0008,0064) with Image Type (0008,0008)"
    return _products(dataset) if is_capture or _is_derived(dataset) else ""


def _modifier(codes: tuple[str, ...], word: str) -> Callable[[Dataset], str]:
    def where(dataset: Dataset) -> str:
        for view in elements.items(dataset, "ViewCodeSequence"):
            for modifier in elements.items(view, "ViewModifierCodeSequence"):
                is_coded = elements.text(modifier, "CodeValue") in codes
                if is_coded or word in elements.text(modifier, "CodeMeaning").upper():
                    return "View Modifier Code Sequence (0054,0222)"
        return ""

    return where


def _conflict(*, is_frontal: bool) -> Callable[[Dataset], str]:
    """Return a rule: View Position and View Code name two views, both frontal or only one of them."""

    def where(dataset: Dataset) -> str:
        views = set(stated_views(dataset))
        both_frontal = all(view.is_frontal for view in views)
        if len(views) < 2 or both_frontal is not is_frontal:
            return ""
        return "View Position (0018,5101) against View Code Sequence (0054,0220)"

    return where


RULES: tuple[KindRule, ...] = (
    KindRule(kind=ImageKind.QUALITY_CONTROL, where=_quality_control, reason=Reason.QUALITY_CONTROL),
    KindRule(
        kind=ImageKind.BONE_SUPPRESSED,
        where=_by_words("BONE SUPPRESSION", "BONE SUPPRESSED", "BONES SUPPRESSED", in_series=True),
        reason=Reason.BONE_SUPPRESSED,
    ),
    KindRule(
        kind=ImageKind.TOMOSYNTHESIS,
        where=_by_words("TOMOSYNTHESIS", "VOLUMERAD", types=("TOMOSYNTHESIS", "TOMO"), in_series=True),
        reason=Reason.TOMOSYNTHESIS,
    ),
    KindRule(
        kind=ImageKind.DUAL_ENERGY,
        where=_by_words("DUAL ENERGY", "ENERGY SUBTRACTION", types=("BONE", "SOFT", "SOFT TISSUE", "DUAL ENERGY")),
        reason=Reason.DUAL_ENERGY,
    ),
    KindRule(
        kind=ImageKind.STITCHED,
        where=_by_words("STITCHED", "STITCHING", types=("STITCHED", "STITCHING")),
        reason=Reason.STITCHED,
    ),
    KindRule(kind=ImageKind.CAPTURE, where=_capture, reason=Reason.CAPTURE),
    KindRule(kind=ImageKind.DECUBITUS, where=_modifier(_DECUBITUS, "DECUBITUS"), reason=Reason.SPECIAL_VIEW),
    KindRule(
        kind=ImageKind.LORDOTIC,
        where=_modifier(_LORDOTIC, "LORDOTIC"),
        reason=Reason.SPECIAL_VIEW,
        note=Note.LORDOTIC,
    ),
    KindRule(
        kind=ImageKind.VIEW_CONFLICT,
        where=_conflict(is_frontal=False),
        reason=Reason.VIEW,
        note=Note.VIEW_CONFLICT,
    ),
    KindRule(
        kind=ImageKind.PROJECTION_CONFLICT,
        where=_conflict(is_frontal=True),
        reason=Reason.VIEW,
        note=Note.VIEW_CONFLICT,
    ),
)
"""Rules in the order of precedence."""


def kinds_of(dataset: Dataset) -> list[tuple[KindRule, str]]:
    """Return the rules that an image meets, each with the element that says so. Never raises."""
    met = ((rule, rule.where(dataset)) for rule in RULES)
    return [(rule, where) for rule, where in met if where]
