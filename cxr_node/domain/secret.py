"""Secrets of the settings: values that `str`, `repr` and JSON do not show."""

import re
from typing import Any, get_args

from pydantic import AfterValidator, Secret

from cxr_node.domain.password_hash import PasswordHash

HIDDEN = "***"


class SecretText(Secret[str]):
    """A password, key, token or hash; `get_secret_value` returns it. False if it is empty."""

    def __bool__(self) -> bool:
        return bool(self.get_secret_value())

    def _display(self) -> str:
        return HIDDEN if self else ""


class SecretUrl(SecretText):
    """A URL. User information, query and fragment are not shown: each of them may hold a password or a token."""

    def _display(self) -> str:
        scheme, separator, rest = self.get_secret_value().partition("://")
        rest = re.sub(r"^.*@", f"{HIDDEN}@", rest)
        return scheme + separator + re.sub(r"[?#].*$", f"?{HIDDEN}", rest)


def secret_form(pattern: str, expected: str) -> AfterValidator:
    """Return the validator of a secret that must match `pattern`; its sentence states what is expected."""
    form = re.compile(pattern)

    def check(secret: SecretText) -> SecretText:
        if not form.fullmatch(secret.get_secret_value()):
            raise ValueError(f"the value is not right; expected {expected}")
        return secret

    return AfterValidator(check)


def check_password_hash(secret: SecretText) -> SecretText:
    """Return the secret; raise ValueError if it is not the text of a `PasswordHash`."""
    PasswordHash.parse(secret.get_secret_value())
    return secret


def is_secret(annotation: Any) -> bool:
    """Whether the values of a field of this type, or their items, are secrets."""
    if isinstance(annotation, type) and issubclass(annotation, SecretText):
        return True
    return any(is_secret(part) for part in get_args(annotation))
