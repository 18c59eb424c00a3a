"""Which films go first: declared rules on who sent a film and what its header says. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Received, Sender
from cxr_node.receive.elements import values_of
from cxr_node.receive.part10 import data_set_of

STATION_NAME = 0x00081010
_PADDING = b" \0"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityRule:
    """A kind of film that goes first: in the queue, by `priority_boost_s` seconds.

    A film is of the kind if it meets every part that asks for something. `header` has tags with values that are looked
    for, of which one must be there; each a top level element with text in it.
    """

    priority_boost_s: int
    calling_ae_titles: frozenset[str] = field(default=frozenset())
    called_ae_titles: frozenset[str] = field(default=frozenset())
    station_names: frozenset[str] = field(default=frozenset())
    header: tuple[tuple[int, str], ...] = field(default=())


def priority_boost_s(received: Received, sender: Sender, rules: Sequence[PriorityRule]) -> int:
    """Return the largest head start that a rule gives a film, in seconds; 0 where none does."""
    return priority_boost_of_file_s(received.beginning, sender, rules, transfer_syntax_uid=received.transfer_syntax_uid)


def priority_boost_of_file_s(
    content: bytes, sender: Sender, rules: Sequence[PriorityRule], *, transfer_syntax_uid: Uid
) -> int:
    """Return the same for a DICOM file.

    Its header is looked at only where that can change the answer; one that cannot be read meets nothing.
    """
    from_there = [rule for rule in rules if _came_so(rule, sender)]
    wanted = {tag for rule in from_there for tag in _tags(rule)}
    said = _said(content, wanted, transfer_syntax_uid) if wanted else {}
    return max((rule.priority_boost_s for rule in from_there if _says_so(rule, said)), default=0)


def _came_so(rule: PriorityRule, sender: Sender) -> bool:
    return (not rule.calling_ae_titles or sender.calling_ae_title in rule.calling_ae_titles) and (
        not rule.called_ae_titles or sender.called_ae_title in rule.called_ae_titles
    )


def _says_so(rule: PriorityRule, said: dict[int, frozenset[str]]) -> bool:
    nothing: frozenset[str] = frozenset()
    if rule.station_names and not rule.station_names & said.get(STATION_NAME, nothing):
        return False
    return not rule.header or any(value in said.get(tag, nothing) for tag, value in rule.header)


def _tags(rule: PriorityRule) -> set[int]:
    return {tag for tag, _ in rule.header} | ({STATION_NAME} if rule.station_names else set())


def _said(content: bytes, wanted: set[int], transfer_syntax_uid: Uid) -> dict[int, frozenset[str]]:
    """Return the values of elements, as Latin-1: enough for words of the standard, and for names as they are typed."""
    try:
        values = values_of(data_set_of(content), wanted, transfer_syntax_uid=transfer_syntax_uid)
    except ValueError:
        return {}
    return {
        tag: frozenset(part.strip(_PADDING).decode("latin-1") for part in value.split(b"\\"))
        for tag, value in values.items()
    }
