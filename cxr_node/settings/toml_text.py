"""Values of settings as a TOML file writes them."""

import json
from pathlib import Path

from cxr_node.domain.secret import SecretText
from cxr_node.domain.section import Section


def toml_text(value: object, *, shows_secrets: bool = False) -> str:
    """Return a setting's value as TOML; strings, numbers, booleans and lists look as in JSON.

    A secret is hidden, but not an empty one.
    """
    match value:
        case Section():
            entries = (f"{name} = {toml_text(item, shows_secrets=shows_secrets)}" for name, item in value)
            return f"{{ {', '.join(entries)} }}"
        case tuple():
            return f"[{', '.join(toml_text(item, shows_secrets=shows_secrets) for item in value)}]"
        case SecretText():
            return json.dumps(value.get_secret_value() if shows_secrets else str(value), ensure_ascii=False)
        case bool() | int() | float():
            return json.dumps(value)
        case Path() | None:
            return json.dumps(str(value or ""), ensure_ascii=False)
        case _:
            return json.dumps(str(value), ensure_ascii=False)
