"""Explanations of coded reasons, in words of the department: what is so, what it means, what to do.

The table is `explanations.toml`: one entry for every reason of a film that is not analysed, every note, every refusal
of an object, an association or a connection, and every failure of storage commitment.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from functools import cache
from importlib.resources import files

from cxr_node.domain.reasons import Note, Reason


class Group(StrEnum):
    """Where a code occurs; the value is the group's name in the table."""

    NOT_ANALYSED = "not_analysed"
    NOTE = "note"
    C_STORE = "c_store"
    ASSOCIATION = "association"
    CONNECTION = "connection"
    PRESENTATION_CONTEXT = "presentation_context"
    STORAGE_COMMITMENT = "storage_commitment"
    DICOMWEB = "dicomweb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Explanation of one code.

    `name` is what rows, metrics and counters have, such as BODYPART or out_of_resources. `code` is the value in DICOM
    messages, such as A700, or result, source and reason of an A-ASSOCIATE-RJ; empty where there is none.
    """

    group: Group
    name: str
    fact: str
    effect: str
    remedy: str
    code: str = ""

    @property
    def title(self) -> str:
        """The meaning of a reason or note, as reports have it; of any other code its name in words."""
        match self.group:
            case Group.NOT_ANALYSED:
                return Reason(self.name).meaning
            case Group.NOTE:
                return Note(self.name).meaning
            case _:
                return self.name.replace("_", " ")

    def as_row(self) -> dict[str, str]:
        """Return its fields and title, as pages and commands show them."""
        return {**asdict(self), "title": self.title}


_WORDS = {"fact", "effect", "remedy"}
_KEYS = {field.name for field in fields(Explanation)} - {"group", "name"}


def parse_explanations(text: str) -> Mapping[Group, Mapping[str, Explanation]]:
    """Return the explanations of a TOML table, by group and name.

    Raises
    ------
    ValueError
        If the text is not TOML; if a group, reason, note or word is absent, unknown or empty.
    """
    document = tomllib.loads(text)
    _check("groups", set(Group), document)
    _check(Group.NOT_ANALYSED, set(Reason), document[Group.NOT_ANALYSED])
    _check(Group.NOTE, set(Note), document[Group.NOTE])
    for group, entries in document.items():
        for name, entry in entries.items():
            _check(f"{group}.{name}", _WORDS, entry, optional=_KEYS)
            if not all(entry.values()):
                raise ValueError(f"{group}.{name}: a word is empty")
    return {
        Group(group): {name: Explanation(group=Group(group), name=name, **entry) for name, entry in entries.items()}
        for group, entries in document.items()
    }


@cache
def explanations() -> Mapping[Group, Mapping[str, Explanation]]:
    """Return every explanation, by group and name, in the order of the table."""
    return parse_explanations(files(__package__).joinpath("explanations.toml").read_text(encoding="utf-8"))


def explanations_of(*, reasons: Iterable[str | None] = (), notes: Iterable[str] = ()) -> list[Explanation]:
    """Return the explanation of each different reason and note once; stored codes of other versions have none."""
    wanted = [(Group.NOT_ANALYSED, reason) for reason in reasons if reason] + [(Group.NOTE, note) for note in notes]
    if not wanted:
        return []
    groups = explanations()
    return [groups[group][name] for group, name in dict.fromkeys(wanted) if name in groups[group]]


def find_explanations(text: str) -> list[Explanation]:
    """Return the explanations of the codes that `text` may mean: a name, or the value in a message (0xA700)."""
    wanted = _plain(text)
    return [
        entry
        for entries in explanations().values()
        for entry in entries.values()
        if wanted in (_plain(entry.name), _plain(entry.code or entry.name))
    ]


def _plain(text: str) -> str:
    return "".join(text.upper().removeprefix("0X").replace("-", "_").split()).replace(",", "")


def _check(place: str, required: Iterable[str], table: Iterable[str], optional: Iterable[str] = ()) -> None:
    wanted = set(map(str, required))
    absent, unknown = wanted - set(table), set(table) - wanted - set(optional)
    if absent or unknown:
        raise ValueError(f"{place}: absent {sorted(absent)}, unknown {sorted(unknown)}")
