"""Detects animals by the header, since veterinary films reach human archives."""

from pydicom.dataset import Dataset

from cxr_node.pixels import elements
from cxr_node.pixels.view import TEXTS, words

_HUMAN_CODES = frozenset({"337915000", "L-85003", "L-85B00"})
_HUMAN_WORDS = frozenset({"HUMAN", "HOMO", "SAPIENS"})
_ANIMAL_WORDS = frozenset(
    words("CANINE FELINE EQUINE BOVINE AVIAN OVINE PORCINE LEPORINE VETERINARY DOG DOGS HORSE RABBIT FERRET")
)


def is_animal(dataset: Dataset) -> str:
    """Return the name of the element that identifies an animal, or "" if none does.

    PS3.3 section C.7.1.1: Patient Species Description and Code, Breed, and the Responsible Person's role; then words in
    descriptions. "CAT" is not among the words: it is a scan.
    """
    species = words(elements.text(dataset, "PatientSpeciesDescription"))
    if species and _HUMAN_WORDS.isdisjoint(species):
        return "Patient Species Description (0010,2201)"
    codes = [elements.text(item, "CodeValue") for item in elements.items(dataset, "PatientSpeciesCodeSequence")]
    if any(codes) and _HUMAN_CODES.isdisjoint(codes):
        return "Patient Species Code Sequence (0010,2202)"
    if elements.text(dataset, "PatientBreedDescription") or elements.items(dataset, "PatientBreedCodeSequence"):
        return "Patient Breed"
    if elements.text(dataset, "ResponsiblePersonRole").upper() == "OWNER":
        return "Responsible Person Role (0010,2298)"
    for keyword in TEXTS:
        if not _ANIMAL_WORDS.isdisjoint(words(elements.text(dataset, keyword))):
            return keyword
    return ""
