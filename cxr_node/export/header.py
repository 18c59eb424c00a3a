"""De-identified header of a film, made of nothing but what the table of actions keeps."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from cxr_node.export import values
from cxr_node.export.attributes import Action, ActionTable, Rule, action_table
from cxr_node.export.options import Option
from cxr_node.export.pseudonyms import Pseudonyms
from cxr_node.pixels import elements

_BINARY = frozenset({"US", "SS", "UL", "SL", "FL", "FD", "US or SS"})
_DATES = frozenset({"DA", "TM", "DT"})
_DEPTH = 4
_BY_KEYWORD: Mapping[str, Callable[[str, ActionTable], str | None]] = {
    "PatientAge": lambda text, _: values.age(text),
    "CodeValue": lambda text, _: values.code_value(text),
    "CodingSchemeDesignator": lambda text, table: text if text in table.schemes else None,
    "CodeMeaning": lambda text, table: values.known_words(text, "LO", table) or "Unspecified",
}
"""Cleaning of attributes of their own kind."""
_LUT_ENTRIES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How films are de-identified: options, and pseudonyms under a secret."""

    options: frozenset[Option]
    pseudonyms: Pseudonyms
    table: ActionTable

    @property
    def keeps_dates(self) -> bool:
        """Whether dates are moved instead of removed."""
        return Option.MODIFIED_DATES in self.options


def policy(options: frozenset[Option], pseudonyms: Pseudonyms) -> Policy:
    """Return a policy with the table of actions of this package."""
    return Policy(options=options, pseudonyms=pseudonyms, table=action_table())


def deidentified_header(source: Dataset, policy: Policy, *, patient: str) -> Dataset:
    """Return the header of a film without pixels, in ASCII.

    Parameters
    ----------
    source
        The film as it was received; its values are read as bytes.
    patient
        Text that identifies the patient, from which pseudonym and shift follow.
    """
    cleaner = _Cleaner(policy=policy, patient=patient, is_signed=_is_signed(source))
    header = cleaner.cleaned(source, policy.table.attributes, depth=0)
    pseudonym = policy.pseudonyms.patient_id(patient)
    header.PatientName = header.PatientID = pseudonym
    return header


def _is_signed(source: Dataset) -> bool:
    return elements.integer(source, "PixelRepresentation") == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cleaner:
    policy: Policy
    patient: str
    is_signed: bool

    def cleaned(self, source: Dataset, rules: Mapping[int, Rule], *, depth: int) -> Dataset:
        """Return the elements of a data set that have a rule, each after its action."""
        out = Dataset()
        for tag, rule in rules.items():
            if tag not in source:
                continue
            value = self._value(source, rule, depth)
            if value is not None:
                out.add(DataElement(tag, self._vr(rule), value))
            elif rule.stays or self._is_kept_empty(source, rule):
                out.add(DataElement(tag, self._vr(rule), None if rule.vr != "SQ" else Sequence()))
        return out

    def _is_kept_empty(self, source: Dataset, rule: Rule) -> bool:
        """Whether an element that may be kept has no value: that it is there may be what the standard requires."""
        is_kept = rule.action(self.policy.options) in (Action.KEEP, Action.CLEAN)
        return is_kept and rule.vr != "SQ" and not elements.payload(source, rule.keyword).strip(b" \0")

    def _vr(self, rule: Rule) -> str:
        if rule.vr == "US or SS":
            return "SS" if self.is_signed else "US"
        return "OW" if rule.vr == "US or OW" else rule.vr

    def _value(self, source: Dataset, rule: Rule, depth: int) -> object:
        """Return the value of an element after its action; None if there is none."""
        match rule.action(self.policy.options):
            case Action.REMOVE | Action.EMPTY:
                return None
            case Action.DUMMY:
                return values.DUMMIES.get(rule.vr, "")
            case Action.REPLACE_UID:
                uid = elements.text(source, rule.keyword)
                return self.policy.pseudonyms.uid(uid) if uid else None
            case Action.KEEP | Action.CLEAN:
                return self._kept(source, rule, depth)

    def _kept(self, source: Dataset, rule: Rule, depth: int) -> object:
        if rule.vr == "SQ":
            return self._items(source, rule, depth)
        if rule.keyword == "LUTData":
            return _lut_data(source)
        if rule.vr in _BINARY:
            return self._binary(source, rule)
        texts = elements.texts(source, rule.keyword)
        if rule.keyword == "ImageType":
            return values.image_type(list(texts)) if texts else None
        cleaned = [self._text(text, rule) for text in texts]
        if not cleaned or any(one is None for one in cleaned):
            return None
        return cleaned if len(cleaned) > 1 else cleaned[0]

    def _text(self, text: str, rule: Rule) -> str | None:
        """Return one value of a text element; None if it may not be kept."""
        table = self.policy.table
        if rule.vr in ("DS", "IS"):
            return values.number(text, rule.vr, largest=rule.largest)
        if rule.vr in _DATES:
            return _moved(text, rule.vr, self.policy.pseudonyms.shift(self.patient))
        if rule.words:
            return values.known_words(text, rule.vr, table) or None
        if rule.pattern is not None:
            return text if rule.pattern.fullmatch(text) else None
        if rule.keyword in _BY_KEYWORD:
            return _BY_KEYWORD[rule.keyword](text, table)
        return values.printable(text, rule.vr) or None

    def _binary(self, source: Dataset, rule: Rule) -> object:
        numbers = elements.numbers(source, rule.keyword)
        if not numbers or any(math.isnan(number) for number in numbers):
            return None
        if rule.vr in ("FL", "FD"):
            return list(numbers) if len(numbers) > 1 else numbers[0]
        whole = [int(number) for number in numbers]
        if rule.vr == "US or SS" and self.is_signed:
            whole = [elements.signed(number) for number in whole]
        return whole if len(whole) > 1 else whole[0]

    def _items(self, source: Dataset, rule: Rule, depth: int) -> Sequence | None:
        if depth >= _DEPTH:
            return None
        items = [
            self.cleaned(item, self.policy.table.items, depth=depth + 1)
            for item in elements.items(source, rule.keyword)
        ]
        return Sequence([item for item in items if _is_whole(item)])


def _moved(text: str, vr: str, shift: timedelta) -> str | None:
    match vr:
        case "DA":
            return values.moved_date(text, shift)
        case "TM":
            return values.time(text)
        case _:
            return values.moved_date_time(text, shift)


def _is_whole(item: Dataset) -> bool:
    """Whether an item is a whole code or table: half of one says nothing."""
    is_code = all(item.get(keyword) for keyword in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"))
    return is_code or all(keyword in item for keyword in ("LUTDescriptor", "LUTData"))


def _lut_data(source: Dataset) -> bytes | None:
    """Return LUT Data (0028,3006), of which nothing is beyond the entries that LUT Descriptor (0028,3002) states."""
    descriptor = elements.numbers(source, "LUTDescriptor")
    if len(descriptor) != 3 or any(math.isnan(number) for number in descriptor):
        return None
    entries = int(descriptor[0]) & 0xFFFF or _LUT_ENTRIES
    data = elements.payload(source, "LUTData")
    size = 2 * entries if len(data) >= 2 * entries or descriptor[2] > 8 else entries
    return data[: size + size % 2] if len(data) >= size else None
