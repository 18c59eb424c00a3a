"""SQL expressions that SQLite and PostgreSQL spell differently."""

from collections.abc import Mapping
from typing import Protocol


class Dialect(Protocol):
    """Expressions on columns, as SQL of one database."""

    name: str

    def day(self, time: str) -> str:
        """The UTC day of a time as text, such as 2026-01-31."""

    def hour(self, time: str) -> str:
        """The UTC hour of a time, 0 to 23."""

    def start_of_day(self, day: str) -> str:
        """The time at which a day begins, from the day as text."""

    def seconds_between(self, start: str, end: str) -> str:
        """Seconds from one time to another, to the millisecond."""

    def minus_seconds(self, time: str, seconds: str) -> str:
        """A time less a whole number of seconds."""

    def json_text(self, column: str, key: str) -> str:
        """A member of a JSON object as text."""

    def json_integer(self, column: str, key: str) -> str:
        """A member of a JSON object as an integer."""

    def varchar(self, expression: str) -> str:
        """An expression as text without a length limit."""


class _Sqlite:
    name = "sqlite"

    def day(self, time: str) -> str:
        return f"strftime('%Y-%m-%d', {time})"

    def hour(self, time: str) -> str:
        return f"CAST(strftime('%H', {time}) AS INTEGER)"

    def start_of_day(self, day: str) -> str:
        return f"{day} || ' 00:00:00.000000'"

    def seconds_between(self, start: str, end: str) -> str:
        return f"round((julianday({end}) - julianday({start})) * 86400.0, 3)"

    def minus_seconds(self, time: str, seconds: str) -> str:
        return f"strftime('%Y-%m-%d %H:%M:%f000', {time}, '-' || {seconds} || ' seconds')"

    def json_text(self, column: str, key: str) -> str:
        return f"json_extract({column}, '$.{key}')"

    def json_integer(self, column: str, key: str) -> str:
        return f"json_extract({column}, '$.{key}')"

    def varchar(self, expression: str) -> str:
        return expression


class _PostgreSql:
    name = "postgresql"

    def day(self, time: str) -> str:
        return f"to_char({time} AT TIME ZONE 'UTC', 'YYYY-MM-DD')"

    def hour(self, time: str) -> str:
        return f"CAST(extract(hour FROM {time} AT TIME ZONE 'UTC') AS integer)"

    def start_of_day(self, day: str) -> str:
        return f"CAST({day} AS timestamp) AT TIME ZONE 'UTC'"

    def seconds_between(self, start: str, end: str) -> str:
        return f"CAST(round(extract(epoch FROM {end} - {start}), 3) AS double precision)"

    def minus_seconds(self, time: str, seconds: str) -> str:
        return f"{time} - {seconds} * interval '1 second'"

    def json_text(self, column: str, key: str) -> str:
        return f"({column} ->> '{key}')"

    def json_integer(self, column: str, key: str) -> str:
        return f"CAST({column} ->> '{key}' AS integer)"

    def varchar(self, expression: str) -> str:
        return f"CAST({expression} AS varchar)"


DIALECTS: Mapping[str, Dialect] = {"sqlite": _Sqlite(), "postgresql": _PostgreSql()}
