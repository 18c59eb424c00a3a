"""Wildcard matching (PS3.4 section C.2.2.2.4) as SQL: the same rows on SQLite and PostgreSQL, whatever their locale."""

from sqlalchemy import ColumnElement, Compiled, func, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Boolean

_ESCAPE = "!"
_WILDCARDS = {"*": "%", "?": "_"}


def matches(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Return the condition that a column matches a text with `*` and `?`, with regard to case."""
    return _Wildcards(column, text) if any(sign in text for sign in _WILDCARDS) else column == literal(text)


def matches_in_any_case(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Return the condition that a column matches a text with `*` and `?`, without regard to case.

    SQLite, and PostgreSQL by some locales, lower ASCII letters only: the other letters of the text are replaced.
    """
    lowered = func.lower(column)
    for letter in sorted({sign for sign in text if not sign.isascii()}):
        for variant in sorted({letter, letter.upper()} - {_lower(letter)}):
            if len(variant) == 1:
                lowered = func.replace(lowered, variant, _lower(letter))
    return matches(lowered, "".join(map(_lower, text)))


def _lower(letter: str) -> str:
    """Return the small form of a letter, if that is one letter."""
    lowered = letter.upper().lower() if len(letter.upper()) == 1 else letter.lower()
    return lowered if len(lowered) == 1 else letter


class _Wildcards(FunctionElement[bool]):
    """Whether a column matches a text with wildcards: in SQLite by GLOB, as its LIKE ignores the case of ASCII."""

    type = Boolean()
    inherit_cache = True
    name = "wildcards"

    def __init__(self, column: ColumnElement[str], text: str) -> None:
        like = "".join(f"{_ESCAPE}{sign}" if sign in "%_!" else _WILDCARDS.get(sign, sign) for sign in text)
        super().__init__(column, literal(text.replace("[", "[[]")), literal(like))


@compiles(_Wildcards, "sqlite")
def _in_sqlite(element: _Wildcards, compiler: Compiled, **options: object) -> str:
    # A parameter counts as used, by its position, once its clause was processed.
    column, pattern, _ = element.clauses
    return f"({compiler.process(column, **options)} GLOB {compiler.process(pattern, **options)})"


@compiles(_Wildcards, "postgresql")
def _in_postgresql(element: _Wildcards, compiler: Compiled, **options: object) -> str:
    column, _, pattern = element.clauses
    return f"({compiler.process(column, **options)} LIKE {compiler.process(pattern, **options)} ESCAPE '{_ESCAPE}')"
