"""Two pictures of the architecture as SVG: packages with their imports, and the way of a film through the processes.

`python -m tests.support.architecture_pictures` writes them to docs/pictures. The first is drawn from the import graph
and the layers of pyproject.toml; look at both before you commit them.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import import_module

from tests.support.films import ROOT

FOLDER = ROOT / "docs" / "pictures"
ARCHITECTURE, DATA_FLOW = FOLDER / "architecture.svg", FOLDER / "data-flow.svg"
_WIDTH, _ROW, _BOX_HEIGHT, _MARGIN = 1400, 57, 36, 20
_SHIFT = 0.38
_COLORS = ("#4269d0", "#a463f2", "#ff725c", "#6cc5b0", "#3ca951", "#efb118", "#9c6b4e", "#97bbf5")
_STYLE = """<style>
text { font: 14px system-ui, sans-serif; fill: #1b1b1b; text-anchor: middle; }
text.left { text-anchor: start; } text.small { font-size: 12px; fill: #555; } text.head { font-weight: 600; }
rect { fill: #fff; stroke: #777; rx: 5; } rect.band { fill: #f3f5f8; stroke: none; } rect.outside { fill: #eee; }
rect.store { fill: #fdf6e3; } path, line { fill: none; stroke: #777; }
</style>"""


def layers() -> list[list[str]]:
    """Return the packages of each layer, the highest layer first, as `lint-imports` enforces them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (contract,) = (contract for contract in contracts if contract["type"] == "layers")
    return [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]


def imports() -> dict[tuple[str, str], int]:
    """Return how many modules of one package import one of another, by the two packages."""
    graph = import_module("grimp").build_graph("cxr_node")
    counts: dict[tuple[str, str], int] = {}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            pair = _package(module), _package(imported)
            if all(pair) and pair[0] != pair[1]:
                counts[pair] = counts.get(pair, 0) + 1
    return counts


def _package(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def architecture(rows: Sequence[Sequence[str]], edges: Mapping[tuple[str, str], int]) -> str:
    """Return the picture of packages in their layers, with a line for each pair that import each other."""
    places: dict[str, tuple[float, float]] = {}
    parts: list[str] = []
    for row, packages in enumerate(rows):
        y = 60 + row * _ROW
        step = (_WIDTH - 2 * _MARGIN) / len(packages)
        parts.append(_rect(_MARGIN, y - 4, _WIDTH - 2 * _MARGIN, _BOX_HEIGHT + 8, "band"))
        for column, name in enumerate(packages):
            # A layer of one package stands aside of the ones above, whose lines would hide it.
            share = 0.15 + 0.7 * (row * _SHIFT % 1.0) if len(packages) == 1 else 0.5
            places[name] = (_MARGIN + step * (column + share), y)
    lines = [
        _curve(places[user], places[used], count, _COLORS[list(places).index(used) % len(_COLORS)])
        for (user, used), count in sorted(edges.items())
        if user in places and used in places
    ]
    boxes: list[str] = []
    for name, (x, top) in places.items():
        width = 9 * len(name) + 22
        boxes += [_rect(x - width / 2, top, width, _BOX_HEIGHT), _text(x, top + 23, name)]
    head = _text(
        _MARGIN, 24, "A package imports packages of lower rows only. Lines are imports, wider for more modules.", "left"
    )
    height = 60 + len(rows) * _ROW + 10
    return _svg(_WIDTH, height, [*parts, *lines, *boxes, head])


def _curve(user: tuple[float, float], used: tuple[float, float], count: int, color: str) -> str:
    (x, y), (to_x, to_y) = (user[0], user[1] + _BOX_HEIGHT), used
    middle = (y + to_y) / 2
    width = min(5.0, 0.6 + count / 12)
    path = f"M{x:.0f} {y:.0f} C{x:.0f} {middle:.0f} {to_x:.0f} {middle:.0f} {to_x:.0f} {to_y:.0f}"
    return f'<path d="{path}" style="stroke:{color}" stroke-width="{width:.1f}" opacity="0.45"/>'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """A box of the second picture: place of its left upper corner, size, heading, and lines of text."""

    x: int
    y: int
    width: int
    height: int
    heading: str
    lines: tuple[str, ...] = ()
    kind: str = ""

    def parts(self) -> Iterable[str]:
        """Yield its elements."""
        yield _rect(self.x, self.y, self.width, self.height, self.kind)
        yield _text(self.x + self.width / 2, self.y + 22, self.heading, "head")
        for number, line in enumerate(self.lines):
            yield _text(self.x + self.width / 2, self.y + 42 + 17 * number, line, "small")


_BOXES = (
    _Box(x=20, y=150, width=130, height=66, heading="Modality", lines=("C-STORE",), kind="outside"),
    _Box(
        x=215,
        y=130,
        width=190,
        height=106,
        heading="receive",
        lines=("admission, streaming", "flush, commit,", "then Success"),
    ),
    _Box(
        x=470,
        y=130,
        width=190,
        height=106,
        heading="read",
        lines=("gate, gray scale,", "network, measurements;", "decoders in a sandbox"),
    ),
    _Box(
        x=725,
        y=130,
        width=190,
        height=106,
        heading="deliver",
        lines=("compose: results of a study", "deliver: retries, breaker", "periodic jobs"),
    ),
    _Box(x=980, y=150, width=150, height=66, heading="PACS", lines=("C-STORE of results",), kind="outside"),
    _Box(x=470, y=20, width=190, height=66, heading="admin", lines=("page, API, metrics",)),
    _Box(x=980, y=20, width=150, height=66, heading="People, programs", lines=("HTTP",), kind="outside"),
    _Box(
        x=215,
        y=320,
        width=350,
        height=84,
        heading="Archive: folder or bucket",
        lines=("films as received, results as sent", "each with its SHA-256"),
        kind="store",
    ),
    _Box(
        x=605,
        y=320,
        width=310,
        height=84,
        heading="Database: SQLite or PostgreSQL",
        lines=("films, jobs, readings, deliveries", "the queue: claims with leases"),
        kind="store",
    ),
)
_ARROWS: tuple[tuple[int, int, int, int, str, int, int], ...] = (
    (150, 183, 215, 183, "film", 182, 177),
    (405, 183, 470, 183, "job", 437, 177),
    (660, 183, 725, 183, "job", 692, 177),
    (915, 183, 980, 183, "report", 948, 177),
    (980, 53, 660, 53, "", 0, 0),
    (250, 236, 250, 320, "film", 270, 300),
    (370, 236, 640, 320, "rows", 445, 280),
    (505, 320, 505, 236, "film", 525, 310),
    (630, 236, 690, 320, "reading", 706, 300),
    (790, 236, 790, 320, "rows", 812, 300),
    (530, 320, 740, 236, "results", 730, 264),
)


def data_flow() -> str:
    """Return the picture of the way of a film: processes, what they keep, and what passes between them."""
    marker = (
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L10 5 L0 10 z" style="fill:#777;stroke:none"/></marker></defs>'
    )
    parts = [marker, _rect(195, 110, 740, 146, "band")]
    for x, y, to_x, to_y, label, label_x, label_y in _ARROWS:
        parts.append(f'<line x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}" marker-end="url(#tip)"/>')
        parts.append(_text(label_x, label_y, label, "small"))
    for box in _BOXES:
        parts += box.parts()
    parts.append(
        _text(
            20,
            440,
            "Each box in the middle row, and admin, is a process of the supervisor `cxr-node run`.",
            "left small",
        )
    )
    return _svg(1150, 455, parts)


def _rect(x: float, y: float, width: float, height: float, kind: str = "") -> str:
    return f'<rect class="{kind}" x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}"/>'


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}">{escape(text)}</text>'


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}">'
    background = f'<rect style="stroke:none" width="{width:.0f}" height="{height:.0f}"/>'
    return "\n".join([head, _STYLE, background, *parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    ARCHITECTURE.write_text(architecture(layers(), imports()), encoding="utf-8")
    DATA_FLOW.write_text(data_flow(), encoding="utf-8")
