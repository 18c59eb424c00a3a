"""Tables of docs/reference/reasons.md, generated from the explanations.

`python -m cxr_node.ops.reason_document docs/reference/reasons.md` replaces the tables in the page and keeps its prose.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from cxr_node.domain.explanations import Explanation, Group, explanations
from cxr_node.ops.conformance import replace_tables


def tables() -> Mapping[str, str]:
    """Return each table as Markdown, by its name in the page: a table for each group."""
    return {group.replace("_", "-"): _table(group, list(entries.values())) for group, entries in explanations().items()}


def with_tables(page: str) -> str:
    """Return the page with its tables replaced; KeyError if no table has a name of the page."""
    return replace_tables(page, tables())


def _table(group: Group, entries: list[Explanation]) -> str:
    has_titles = group in (Group.NOT_ANALYSED, Group.NOTE)
    rows = [("code", "what is so", "what it means", "what to do"), ("---",) * 4]
    for entry in entries:
        title = f"**{entry.title}.** " if has_titles else ""
        code = f"{entry.code}, {entry.title}" if entry.code else entry.name if has_titles else f"`{entry.name}`"
        rows.append((code, title + entry.fact, entry.effect, entry.remedy))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
