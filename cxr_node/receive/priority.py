"""Priority rules: the boost of a film by its sender and header. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cxr_node.domain.element_values import values_of
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Received, Sender
from cxr_node.receive.part10 import data_set_of

STATION_NAME = 0x00081010
_PADDING = b" \0"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityRule:
    """Boosts the queue priority of matching films by `priority_boost_s` seconds.

    A film matches if it meets every non-empty field. `header` lists tag and value of top level text elements, of which
    one must match.
    """

    priority_boost_s: int
    calling_ae_titles: frozenset[str] = field(default=frozenset())
    called_ae_titles: frozenset[str] = field(default=frozenset())
    station_names: frozenset[str] = field(default=frozenset())
    header: tuple[tuple[int, str], ...] = field(default=())


def priority_boost_s(received: Received, sender: Sender, rules: Sequence[PriorityRule]) -> int:
    """Return the largest boost of the matching rules, in seconds; 0 without one."""
    return priority_boost_of_file_s(received.beginning, sender, rules, transfer_syntax_uid=received.transfer_syntax_uid)


def priority_boost_of_file_s(
    content: bytes, sender: Sender, rules: Sequence[PriorityRule], *, transfer_syntax_uid: Uid
) -> int:
    """Return the same for a DICOM file. The header is read only if a rule needs it; an unreadable one matches none."""
    candidates = [rule for rule in rules if _matches_sender(rule, sender)]
    wanted = {tag for rule in candidates for tag in _tags(rule)}
    values = _text_values(content, wanted, transfer_syntax_uid) if wanted else {}
    return max((rule.priority_boost_s for rule in candidates if _matches_header(rule, values)), default=0)


def _matches_sender(rule: PriorityRule, sender: Sender) -> bool:
    return (not rule.calling_ae_titles or sender.calling_ae_title in rule.calling_ae_titles) and (
        not rule.called_ae_titles or sender.called_ae_title in rule.called_ae_titles
    )


def _matches_header(rule: PriorityRule, values: dict[int, frozenset[str]]) -> bool:
    absent: frozenset[str] = frozenset()
    if rule.station_names and not rule.station_names & values.get(STATION_NAME, absent):
        return False
    return not rule.header or any(value in values.get(tag, absent) for tag, value in rule.header)


def _tags(rule: PriorityRule) -> set[int]:
    return {tag for tag, _ in rule.header} | ({STATION_NAME} if rule.station_names else set())


def _text_values(content: bytes, wanted: set[int], transfer_syntax_uid: Uid) -> dict[int, frozenset[str]]:
    """Return the values of elements, decoded as Latin-1: enough for defined terms and plain names."""
    try:
        values = values_of(data_set_of(content), wanted, transfer_syntax_uid=transfer_syntax_uid)
    except ValueError:
        return {}
    return {
        tag: frozenset(part.strip(_PADDING).decode("latin-1") for part in value.split(b"\\"))
        for tag, value in values.items()
    }
