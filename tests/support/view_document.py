"""Tables of views in docs/reference/database.md. `python -m tests.support.view_document` writes them anew."""

from cxr_node.queries.views.registry import VIEWS
from cxr_node.queries.views.view import View
from tests.support.films import ROOT

DOCUMENT = ROOT / "docs" / "reference" / "database.md"
START, END = "## The views\n", "\n## Twenty questions\n"


def sections() -> str:
    """Return the section of each view: the meaning of a row, and its columns with type and meaning."""
    return "\n".join(_section(view) for view in VIEWS.values())


def _section(view: View) -> str:
    rows = "".join(f"| `{name}` | {kind} | {meaning} |\n" for name, (kind, meaning) in view.columns.items())
    return (
        f"\n### {view.name}\n\nA row is {view.row}. `--since` and `--until` filter `{view.time}`.\n\n"
        f"| column | type | meaning |\n|---|---|---|\n{rows}"
    )


if __name__ == "__main__":
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{START}{sections()}{END}{after}", encoding="utf-8")
