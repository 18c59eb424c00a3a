"""Where bundles are: those that come with the node by name, others by folder."""

from pathlib import Path

from cxr_node.infer.bundle import CARD, BundleError

BUILT_IN = Path(__file__).resolve().parent.parent / "bundles"


def built_in() -> tuple[str, ...]:
    """Return the names of the bundles that come with the node."""
    return tuple(sorted(card.parent.name for card in BUILT_IN.glob(f"*/{CARD}")))


def find(name_or_path: str) -> Path:
    """Return the folder of a bundle.

    A built-in name goes first; anything else is a path to a folder, "~" allowed.

    Raises
    ------
    BundleError
        If it is neither.
    """
    if name_or_path in built_in():
        return BUILT_IN / name_or_path
    folder = Path(name_or_path).expanduser()
    if (folder / CARD).is_file():
        return folder
    raise BundleError(
        f"no bundle {name_or_path!r}: expected a folder with a {CARD}, or one of the built-in {', '.join(built_in())}"
    )
