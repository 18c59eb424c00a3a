"""Table of actions: what the export does with each attribute that it knows; any other is removed.

It is in attributes.toml, by keyword, in the letters of PS3.15 table E.1-1.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

from pydicom.datadict import dictionary_VR, tag_for_keyword

from cxr_node.export.options import Option

_KEYS = frozenset({"basic", "values", "pattern", "largest", "words", "type", *Option})


class Action(StrEnum):
    """What is done with an attribute."""

    DUMMY = "D"
    EMPTY = "Z"
    REMOVE = "X"
    KEEP = "K"
    CLEAN = "C"
    REPLACE_UID = "U"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Actions on an attribute: the basic one, and those that an option puts in its place.

    A kept text must match `pattern`, a kept whole number be at most `largest`. With `words`, a cleaned text keeps known
    words. An attribute that `stays` is empty instead of removed if its value may not be kept: it is of type 1 or 2.
    """

    keyword: str
    tag: int
    vr: str
    basic: Action
    by_option: Mapping[Option, Action]
    pattern: re.Pattern[str] | None = None
    largest: int | None = None
    words: bool = False
    stays: bool = False

    def action(self, options: frozenset[Option]) -> Action:
        """Return the action under some options."""
        return next((action for option, action in self.by_option.items() if option in options), self.basic)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionTable:
    """Rules of a data set and of its sequences' items by tag, known words, and coding schemes whose codes are kept."""

    attributes: Mapping[int, Rule]
    items: Mapping[int, Rule]
    words: frozenset[str]
    schemes: frozenset[str]


@cache
def action_table() -> ActionTable:
    """Return the table of attributes.toml."""
    return parse_table(files(__package__).joinpath("attributes.toml").read_text(encoding="utf-8"))


def parse_table(text: str) -> ActionTable:
    """Return the table of a TOML text.

    Raises
    ------
    ValueError
        If a keyword, action or key is unknown.
    """
    document = tomllib.loads(text)
    return ActionTable(
        attributes=_rules(document["attributes"]),
        items=_rules(document["items"]),
        words=frozenset(document["words"].split()),
        schemes=frozenset(document["schemes"].split()),
    )


def _rules(table: Mapping[str, Mapping[str, object]]) -> dict[int, Rule]:
    rules = [_rule(keyword, row) for keyword, row in table.items()]
    return {rule.tag: rule for rule in rules}


def _rule(keyword: str, row: Mapping[str, object]) -> Rule:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"not the keyword of an attribute: {keyword}")
    if unknown := row.keys() - _KEYS:
        raise ValueError(f"{keyword}: unknown keys {', '.join(sorted(unknown))}")
    values = "|".join(re.escape(value) for value in str(row.get("values", "")).split())
    pattern = str(row.get("pattern", values))
    largest = row.get("largest")
    return Rule(
        keyword=keyword,
        tag=int(tag),
        vr=dictionary_VR(tag),
        basic=Action(str(row["basic"])),
        by_option={option: Action(str(row[option])) for option in Option if option in row},
        pattern=re.compile(pattern) if pattern else None,
        largest=largest if isinstance(largest, int) else None,
        words=bool(row.get("words")),
        stays="type" in row,
    )
