"""Body part by the header: tag, then code, then words in descriptions, in the languages of the vendors."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from pydicom.dataset import Dataset

from cxr_node.pixels import elements
from cxr_node.pixels.view import TEXTS
from cxr_node.pixels.word_matching import decodings, fold, split, states_nothing

CHEST_WORDS: tuple[str, ...] = tuple(
    split(
        "CHEST THORAX THORACIC LUNG LUNGS CXR TORAX TORACE THORAKS TORAKS LUNGE LUNGEN BRUSTKORB POUMON POUMONS "
        "POITRINE PULMON PULMONES PECHO TORACICA TORACICO PULMAO PULMOES PEITO POLMONE POLMONI TORACIC TORAC PLAMAN "
        "PLAMANI LONGEN BORSTKAS LUNGA LUNGOR LUNGER BRYSTKASSE BROSTKORG KEUHKO KEUHKOT RINTAKEHA KLATKA PIERSIOWA "
        "KLP PLUCA HRUDNIK PLICE MELLKAS TUDO GOGUS AKCIGER DADA PARU NGUC PHOI "
        "ГРУДЬ ГРУДНАЯ ГРУДНОЙ ГРУДНОИ ГРУДНА ОГК ЛЕГКИЕ ЛЕГЕНІ ΘΩΡΑΚΑΣ ΘΩΡΑΞ ΘΩΡΑΚΟΣ ΠΝΕΥΜΟΝΕΣ "
        "胸部 胸片 胸腔 胸 肺 흉부 가슴 폐 ทรวงอก ปอด صدر الصدر חזה"
    )
)
"""Words for a chest, beside which a value may have others."""

_OF_THE_SPINE = (
    "SPINE VERTEBRA VERTEBRAE VERTEBRAL COLUMN COLUMNA COLUNA COLONNE COLONNA RACHIS WIRBELSAULE BWS KREGOSLUP "
    "ПОЗВОНОЧНИК ОТДЕЛ 胸椎 척추 흉추"
)
_COMPANIONS = (
    "PA AP LL RL LAT LATERAL FRONTAL PORT PORTABLE MOBILE BED BEDSIDE SUPINE ERECT UPRIGHT STANDING SITTING ICU GRID "
    "VIEW VIEWS V XR CR DX DR RX XRAY RAY X ADULT ROUTINE HEART HERZ COEUR CORAZON CUORE AUFNAHME BETT LIEGEND STEHEND"
)
_CODES = frozenset({"816094009", "43799004", "51185008", "39607008", "T-D3000", "T-D3400", "T-28000"})
_OTHER_WORDS = frozenset(
    split(
        "TEETH TOOTH DENTAL PANORAMIC MANDIBLE SKULL SINUS SINUSES NECK SPINE LUMBAR CERVICAL SACRUM PELVIS HIP HIPS "
        "FEMUR KNEE KNEES PATELLA TIBIA FIBULA LEG ANKLE FOOT FEET TOE TOES SHOULDER CLAVICLE SCAPULA HUMERUS ELBOW "
        "FOREARM WRIST HAND HANDS FINGER THUMB ABDOMEN KUB BREAST MAMMO MAMMOGRAM EXTREMITY"
    )
)


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


def find_body_part(dataset: Dataset, *, chest_words: tuple[str, ...] = CHEST_WORDS) -> StatedBodyPart:
    """Return the body part, from the first element that states one. Never raises.

    Body Part Examined (0018,0015) is a chest if any of its words is one of `chest_words`, in any character set, without
    accents and case, alone or joined with words for a view or device ("CHESTPA"), unless it names the thoracic spine.
    Any other value is another part, except words that state nothing ("UNKNOWN", "N/A"). Then Anatomic Region Sequence
    (0008,2218), CID 4031. Then the descriptions, in which a word for the chest takes precedence over another part
    ("CHEST AND ABDOMEN").
    """
    stated = decodings(elements.encoded(dataset, "BodyPartExamined").strip(b" \0"))
    if not all(states_nothing(text) for text in stated):
        return _stated("Body Part Examined (0018,0015)", is_chest=any(_is_chest(text, chest_words) for text in stated))
    codes = [elements.text(item, "CodeValue") for item in elements.items(dataset, "AnatomicRegionSequence")]
    if any(codes):
        return _stated("Anatomic Region Sequence (0008,2218)", is_chest=not _CODES.isdisjoint(codes))
    for keyword in TEXTS:
        texts = decodings(elements.encoded(dataset, keyword))
        if any(_is_chest(text, chest_words) for text in texts):
            return _stated(keyword, is_chest=True)
        if any(not _OTHER_WORDS.isdisjoint(split(text)) for text in texts):
            return _stated(keyword, is_chest=False)
    return StatedBodyPart(part=BodyPart.UNSTATED)


def _stated(where: str, *, is_chest: bool) -> StatedBodyPart:
    return StatedBodyPart(part=BodyPart.CHEST if is_chest else BodyPart.OTHER, where=where)


def _is_chest(text: str, chest_words: Sequence[str]) -> bool:
    """Whether folded text names a chest. A thoracic spine is none, unless a noun for the chest stands beside it."""
    words = split(text)
    names_spine = any(word in text for word in _unspaced(_OF_THE_SPINE)) or not _SPINE.isdisjoint(words)
    pattern, unspaced = _patterns(tuple(chest_words))
    for word in words:
        if names_spine and word.startswith(_ADJECTIVES):
            continue
        if pattern.fullmatch(word) or (not names_spine and any(part in word for part in unspaced)):
            return True
    return False


@lru_cache(maxsize=8)
def _patterns(chest_words: tuple[str, ...]) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """Return a pattern of a word for the chest between companions, and the words of scripts without spaces."""
    companions = "|".join(sorted(split(_COMPANIONS), key=len, reverse=True))
    chests = "|".join(sorted((re.escape(fold(word)) for word in chest_words), key=len, reverse=True))
    pattern = re.compile(f"(?:{companions})*(?:{chests})(?:(?:{companions})|(?:{chests}))*") if chests else _NEVER
    return pattern, _unspaced(" ".join(chest_words))


def _unspaced(words: str) -> tuple[str, ...]:
    """Return those of the words that are written without spaces beside others: Chinese, Japanese, Korean and Thai."""
    return tuple(fold(word) for word in words.split() if ord(word[0]) >= _FIRST_UNSPACED)


_FIRST_UNSPACED = 0x0E00
_NEVER = re.compile(r"(?!)")
_SPINE = frozenset(fold(word) for word in split(_OF_THE_SPINE))
_ADJECTIVES = ("THORACI", "TORACI", "PIERSIOW", "ГРУДН")
