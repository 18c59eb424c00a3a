"""Sentences on wrong settings: key, value, what is expected, and the meaning of the setting."""

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from cxr_node.domain.secret import is_secret
from cxr_node.domain.section import Section, table_types
from cxr_node.settings.places import Location, named_key

_EXPECTED: Mapping[str, str] = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text in quotes",
    "path_type": "a path in quotes",
    "tuple_type": "a list in brackets",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "dict_type": "a table",
    "ip_v4_network": "an address or a network, such as 10.0.7.0/24",
    "ip_v6_network": "an address or a network, such as 10.0.7.0/24",
    "ip_any_network": "an address or a network, such as 10.0.7.0/24",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
    "literal_error": "{expected}",
    "enum": "{expected}",
}
"""What is expected, by the type of pydantic's error; in braces the context of the error."""

_LONGEST_QUOTE = 80


def of_validation_error(error: ValidationError, settings: type[Section], tables: object) -> list[str]:
    """Return a sentence for each wrong setting in `tables`, which are those of a settings file."""
    groups: dict[Location, list[dict[str, Any]]] = {}
    for fault in error.errors():
        groups.setdefault(_setting(fault["loc"], settings), []).append(dict(fault))
    return [_sentence(location, faults, settings, tables) for location, faults in groups.items()]


def quoted(value: object) -> str:
    """Return a value as TOML writes it, shortened."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]} ..."


def fields_at(settings: type[Section], location: Location) -> list[FieldInfo]:
    """Return the settings that `location` may name, or has an entry of; none if there is no such setting."""
    while location and isinstance(location[-1], int):
        location = location[:-1]
    tables = _tables_at(settings, location[:-1])
    return [table.model_fields[name] for table in tables for name in location[-1:] if name in table.model_fields]


def _sentence(location: Location, faults: Sequence[dict[str, Any]], settings: type[Section], tables: object) -> str:
    key, fault = named_key(tables, location), faults[0]
    match fault["type"]:
        case "extra_forbidden":
            return f"{key}: there is no such setting; {_nearest(location, settings)}"
        case "missing":
            return f"{key}: must be set ({_description(location, settings)})"
        case "value_error":
            reason = str(fault["msg"]).removeprefix("Value error, ")
            return f"{key}: {reason} ({_description(location, settings)})"
        case _:
            expected = " or ".join(dict.fromkeys(_expected(fault) for fault in faults))
            value = quoted(fault["input"]) if _is_quotable(location, fault["input"], settings) else "the value"
            return f"{key}: {value} is not right; expected {expected} ({_description(location, settings)})"


def _expected(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "value_error":
        return str(fault["msg"]).removeprefix("Value error, ").removeprefix("expected ")
    template = _EXPECTED.get(fault["type"], "what its description says")
    expected = template.format(**fault.get("ctx", {})).replace("'", '"')
    return expected.replace(" 1 entries", " 1 entry").replace(" 1 characters", " 1 character")


def _nearest(location: Location, settings: type[Section]) -> str:
    name = str(location[-1])
    near = difflib.get_close_matches(name, _keys_beside(location, settings), n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}?"
    elsewhere = [
        f"{section}.{name}"
        for section, field in settings.model_fields.items()
        for table in table_types(field.annotation)
        if name in table.model_fields
    ]
    if elsewhere and len(location) > 1:
        return f"it belongs to another table: {' or '.join(elsewhere)}"
    return "config.example.toml has every setting"


def _is_quotable(location: Location, value: object, settings: type[Section]) -> bool:
    """Whether a sentence may quote a value: not one that may hold a password or a token, nor a whole table."""
    fields = fields_at(settings, location)
    may_hold_secret = not fields or any(
        is_secret(field.annotation) or table_types(field.annotation) for field in fields
    )
    return isinstance(value, str | int | float) and "://" not in str(value) and not may_hold_secret


def _keys_beside(location: Location, settings: type[Section]) -> list[str]:
    return sorted({name for table in _tables_at(settings, location[:-1]) for name in table.model_fields})


def _description(location: Location, settings: type[Section]) -> str:
    descriptions = (field.description for field in fields_at(settings, location))
    return next((text for text in descriptions if text), "see config.example.toml")


def _setting(location: Location, settings: type[Section]) -> Location:
    """Return the location of the setting that a location of pydantic is within: it goes on with types and entries."""
    end = len(location)
    for index, part in enumerate(location):
        if isinstance(part, str) and index and not _tables_at(settings, location[:index]):
            end = index
            break
    while end and isinstance(location[end - 1], int) and not _tables_at(settings, location[:end]):
        end -= 1
    return location[:end]


def _tables_at(settings: type[Section], location: Location) -> list[type[Section]]:
    """Return the tables that `location` may name: several if a row can be of several kinds."""
    tables = [settings]
    for key in location:
        if isinstance(key, str):
            fields = [table.model_fields[key] for table in tables if key in table.model_fields]
            tables = [table for field in fields for table in table_types(field.annotation)]
    return tables
