"""Elements by keyword: lists of keywords, sequence items, values repeated unchanged from a film."""

from functools import cache
from typing import Any

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag


def keywords(text: str) -> tuple[str, ...]:
    """Return the attribute keywords of a text, which spaces or line ends separate."""
    return tuple(text.split())


def item(**values: object) -> Dataset:
    """Return a sequence item with these values, by keyword."""
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def verbatim(keyword: str, value: str) -> DataElement:
    """Return an element with `value` unchanged.

    Modalities send UIDs that PS3.5 section 9.1 forbids, such as components with leading zeros. A result in their study
    repeats them; pydicom would log a warning with the value each time.
    """
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"not the keyword of an attribute: {keyword}")
    return DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE)


@cache
def tag_of(keyword: str) -> BaseTag:
    """Return the tag of a keyword, each time the same object: a data set finds it without comparing numbers."""
    return Tag(keyword)


def value_of(dataset: Dataset, keyword: str) -> Any:
    """Return the value of an element, or None without it: `Dataset.get` raises and catches an error for each."""
    tag = tag_of(keyword)
    return dataset[tag].value if tag in dataset else None
