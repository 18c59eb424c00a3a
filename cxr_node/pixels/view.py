"""View by the header: tag, then code, then words (PS3.3 sections C.8.1.1, C.8.11.5 and CID 4010)."""

import re
from collections.abc import Mapping

from pydicom.dataset import Dataset

from cxr_node.domain.film_geometry import View, ViewSource
from cxr_node.pixels import elements

_POSITIONS: Mapping[str, View] = {
    **dict.fromkeys(("PA", "POSTEROANTERIOR"), View.PA),
    **dict.fromkeys(("AP", "ANTEROPOSTERIOR"), View.AP),
    **dict.fromkeys(("LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "LLATERAL", "RLATERAL"), View.LATERAL),
}
_CODES: Mapping[str, View] = {
    # SNOMED CT, and the SNOMED-RT codes of older objects: CID 4010 "DX View"
    **dict.fromkeys(("272479007", "R-40888", "R-10214"), View.PA),
    **dict.fromkeys(("399348003", "R-10206"), View.AP),
    **dict.fromkeys(("399067008", "399173006", "399198007", "R-102CD", "R-10236", "R-10232"), View.LATERAL),
}
_WORDS: Mapping[str, View] = {
    **dict.fromkeys(("PA", "POSTEROANTERIOR"), View.PA),
    **dict.fromkeys(("AP", "ANTEROPOSTERIOR"), View.AP),
    **dict.fromkeys(("LAT", "LATERAL", "LL", "LATERALE", "LATERALIS"), View.LATERAL),
    **dict.fromkeys(("SEITLICH", "SEITL", "PROFIL", "PERFIL"), View.LATERAL),
    **dict.fromkeys(("OBLIQUE", "RAO", "LAO", "RPO", "LPO", "DECUBITUS", "LORDOTIC"), View.UNKNOWN),
}
_FRONTAL = frozenset({"FRONTAL", "399033003", "R-10202"})
"""Neither PA nor AP: another element decides, and without one the view is unknown."""
TEXTS = (
    "AcquisitionDeviceProcessingDescription",
    "SeriesDescription",
    "ProtocolName",
    "PerformedProcedureStepDescription",
    "StudyDescription",
)
"""Descriptive elements, those of the image before those of the study."""

_FIRST_LETTERS = re.compile(r"\b([PA])[.\-/ ]?([AP])\b\.?")
_WORD = re.compile(r"[A-Z]+")


def stated_views(dataset: Dataset) -> tuple[View, ...]:
    """Return the views of View Position and of each item of the View Code Sequence, without unknown ones."""
    position = _view_position(dataset)
    views = (_position(position), *(_CODES.get(code, View.UNKNOWN) for code in _view_codes(dataset)))
    return tuple(view for view in views if view is not View.UNKNOWN)


def _view_position(dataset: Dataset) -> str:
    """Return View Position in capitals; of several values, which the standard forbids, each one that differs."""
    values = (value.upper() for value in elements.texts(dataset, "ViewPosition") if value)
    return "/".join(dict.fromkeys(values))


def _view_codes(dataset: Dataset) -> list[str]:
    codes = (elements.text(item, "CodeValue") for item in elements.items(dataset, "ViewCodeSequence"))
    return [code for code in codes if code]


def find_view(dataset: Dataset) -> tuple[View, ViewSource]:
    """Return the view and its source. Never raises.

    A stated view of another kind (oblique, decubitus, apical) is UNKNOWN with its source; an unstated one is UNKNOWN
    with ViewSource.NONE, and so is one that is both PA and AP. Of several codes one that is lateral counts.
    """
    if {View.PA, View.AP} <= set(stated_views(dataset)):
        return View.UNKNOWN, ViewSource.NONE
    position = _view_position(dataset)
    if position and position not in _FRONTAL:
        return _position(position), ViewSource.VIEW_POSITION
    codes = _view_codes(dataset)
    if codes and _FRONTAL.isdisjoint(codes):
        coded = [_CODES.get(code, View.UNKNOWN) for code in codes]
        return View.LATERAL if View.LATERAL in coded else coded[0], ViewSource.VIEW_CODE
    for keyword in TEXTS:
        views = {_WORDS[word] for word in words(elements.text(dataset, keyword)) if word in _WORDS}
        if len(views) == 1:  # "CHEST PA AND LATERAL" describes a study, not this film
            return views.pop(), ViewSource.TEXT
    return View.UNKNOWN, ViewSource.NONE


def _position(position: str) -> View:
    """Return the view of a View Position, also if it contains more than its one term: "AP SUPINE", "CHEST_PA"."""
    whole = re.sub(r"[^A-Z]", "", position)
    if whole in _POSITIONS:
        return _POSITIONS[whole]
    views = {_POSITIONS[word] for word in words(position) if word in _POSITIONS}
    return views.pop() if len(views) == 1 else View.UNKNOWN


def words(text: str) -> list[str]:
    """Return the words of a description in capitals, "p.a." and "P-A" joined to "PA"."""
    return _WORD.findall(_FIRST_LETTERS.sub(r"\1\2 ", text.upper()))
