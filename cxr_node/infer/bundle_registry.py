"""Where bundles are: those that come with the node and those installed by name, others by folder."""

from pathlib import Path

from cxr_node.infer.bundle import CARD, BundleError

BUILT_IN = Path(__file__).resolve().parent.parent / "bundles"


def built_in() -> tuple[str, ...]:
    """Return the names of the bundles that come with the node."""
    return tuple(sorted(card.parent.name for card in BUILT_IN.glob(f"*/{CARD}")))


def installed(folder: Path) -> tuple[Path, ...]:
    """Return the installed bundles, `folder`/NAME/VERSION each, by name and then by version, the newest last."""
    found = [card.parent for card in folder.glob(f"[!.]*/[!.]*/{CARD}")]
    return tuple(sorted(found, key=lambda each: (each.parent.name, _order(each.name))))


def find(name_or_path: str, folder: Path | None = None) -> Path:
    """Return the folder of a bundle.

    A built-in name goes first, then one that is installed: NAME for its newest version, NAME@VERSION for another.
    Anything else is a path to a folder, "~" allowed.

    Parameters
    ----------
    folder
        Where bundles are installed.

    Raises
    ------
    BundleError
        If it is none of these.
    """
    if name_or_path in built_in():
        return BUILT_IN / name_or_path
    there = installed(folder) if folder else ()
    name, _, version = name_or_path.partition("@")
    of_name = [each for each in there if each.parent.name == name and version in ("", each.name)]
    if of_name:
        return of_name[-1]
    path = Path(name_or_path).expanduser()
    if (path / CARD).is_file():
        return path
    names = dict.fromkeys((*built_in(), *(f"{each.parent.name}@{each.name}" for each in there)))
    raise BundleError(f"no bundle {name_or_path!r}: expected a folder with a {CARD}, or one of {', '.join(names)}")


def _order(version: str) -> tuple[int, ...]:
    """Return a version's numbers, so that 1.10.0 comes after 1.9.0."""
    return tuple(int(part) if part.isdecimal() else 0 for part in version.split("."))
