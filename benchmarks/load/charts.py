"""Charts of measurements."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.load.rounds import Spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = ("#14507d", "#8a97a3", "#c0792a", "#5c8a4a", "#a34a4a", "#7a5c9e")
_WIDTH = 0.8


def of_receiving(everything: Sequence[Mapping[str, Any]], folder: Path) -> Iterator[Path]:
    """Draw films/s by receiver, a picture per kind of film; error bars from minimum to maximum of the rounds."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in dict.fromkeys(row["cell"]["kind"] for row in everything):
        cells = [row for row in everything if row["cell"]["kind"] == kind]
        figure = drawn()
        axes = figure.add_subplot()
        names = list(cells[0]["rounds"])
        for place, name in enumerate(names):
            spreads = [Spread.of(_speed(row) for row in cell["rounds"][name]) for cell in cells]
            x = [number + (place - (len(names) - 1) / 2) * _WIDTH / len(names) for number in range(len(cells))]
            middle = [spread.median for spread in spreads]
            error = [
                [spread.median - spread.least for spread in spreads],
                [spread.most - spread.median for spread in spreads],
            ]
            color = COLORS[place % len(COLORS)]
            axes.bar(x, middle, _WIDTH / len(names), yerr=error, label=name, color=color, ecolor="#333333", capsize=2)
        axes.set_xticks(range(len(cells)), [_label(cell["cell"]) for cell in cells])
        axes.set_yscale("log")
        axes.set_ylabel("films/s (median, least, most)")
        axes.set_title(f"Receiving: {kind}")
        axes.legend(frameon=False, fontsize=8, ncols=len(names), loc="upper center", bbox_to_anchor=(0.5, -0.12))
        path = folder / f"receive-{kind.lower().replace(' ', '-')}.png"
        saved(figure, path)
        yield path


def drawn(width: float = 8.0, height: float = 4.2) -> "Figure":
    """Return an empty figure of the non-interactive backend."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.use("Agg")
    return Figure(figsize=(width, height), layout="constrained")


def saved(figure: "Figure", path: Path) -> None:
    """Write a figure; equal figures give equal bytes."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110, metadata={"Software": ""})


def _speed(turn: Mapping[str, Any]) -> float:
    return turn["films"] / turn["seconds"] if turn["films"] else 0.0


def _label(cell: Mapping[str, Any]) -> str:
    lines = [f"{cell['senders']} sender" + ("s" if cell["senders"] > 1 else "")]
    if cell["per_association"] == 1:
        lines.append("one an association")
    return "\n".join([*lines, *(["Nagle"] if cell["nagle"] else [])])
