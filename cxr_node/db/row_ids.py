"""Ids of rows: a list of few, or a query that finds any number of them in the database."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select

RowIds = Sequence[int] | Select[Any]
