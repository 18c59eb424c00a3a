"""Body part by the header: tag, then code, then words in descriptions."""

from dataclasses import dataclass
from enum import Enum

from pydicom.dataset import Dataset

from cxr_node.pixels import elements
from cxr_node.pixels.view import TEXTS, words


class BodyPart(Enum):
    """Body part, as far as the gate distinguishes it."""

    CHEST = "chest"
    OTHER = "another body part"
    UNSTATED = "stated nowhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedBodyPart:
    """The body part, and the element that states it ("" for none)."""

    part: BodyPart
    where: str = ""


def find_body_part(dataset: Dataset, *, chest_words: tuple[str, ...] = ("CHEST", "THORAX")) -> StatedBodyPart:
    """Return the body part, from the first element that states one. Never raises.

    Body Part Examined (0018,0015) is a chest if its first word is one of `chest_words`; any other value is another
    part, since the element has defined terms. Then Anatomic Region Sequence (0008,2218), CID 4031. Then the
    descriptions, in which a word for the chest takes precedence over another part ("CHEST AND ABDOMEN").
    """
    stated = words(elements.text(dataset, "BodyPartExamined"))
    if stated:
        return _stated("Body Part Examined (0018,0015)", chest=stated[0] in chest_words)
    codes = [elements.text(item, "CodeValue") for item in elements.items(dataset, "AnatomicRegionSequence")]
    if any(codes):
        return _stated("Anatomic Region Sequence (0008,2218)", chest=not _CHEST_CODES.isdisjoint(codes))
    for keyword in TEXTS:
        description_words = words(elements.text(dataset, keyword))
        if not _CHEST_WORDS.isdisjoint(description_words):
            return _stated(keyword, chest=True)
        if not _OTHER_WORDS.isdisjoint(description_words):
            return _stated(keyword, chest=False)
    return StatedBodyPart(part=BodyPart.UNSTATED)


def _stated(where: str, *, chest: bool) -> StatedBodyPart:
    return StatedBodyPart(part=BodyPart.CHEST if chest else BodyPart.OTHER, where=where)


_CHEST_CODES = frozenset({"816094009", "43799004", "51185008", "39607008", "T-D3000", "T-D3400", "T-28000"})
_CHEST_WORDS = frozenset(words("CHEST THORAX THORACIC TORAX LUNG LUNGS LUNGE CXR POUMON POUMONS BRUSTKORB"))
_OTHER_WORDS = frozenset(
    words(
        "TEETH TOOTH DENTAL PANORAMIC MANDIBLE SKULL SINUS SINUSES NECK SPINE LUMBAR CERVICAL SACRUM PELVIS HIP HIPS "
        "FEMUR KNEE KNEES PATELLA TIBIA FIBULA LEG ANKLE FOOT FEET TOE TOES SHOULDER CLAVICLE SCAPULA HUMERUS ELBOW "
        "FOREARM WRIST HAND HANDS FINGER THUMB ABDOMEN KUB BREAST MAMMO MAMMOGRAM EXTREMITY"
    )
)
