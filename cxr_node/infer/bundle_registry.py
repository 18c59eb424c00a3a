"""Registry of bundles: built-in and installed ones by name, others by folder."""

import tomllib
from pathlib import Path

CARD = "card.toml"
BUILT_IN = Path(__file__).resolve().parent.parent / "bundles"


def built_in() -> tuple[str, ...]:
    """Return the names of the built-in bundles."""
    return tuple(sorted(card.parent.name for card in BUILT_IN.glob(f"*/{CARD}")))


def installed(folder: Path) -> tuple[Path, ...]:
    """Return the installed bundles (`folder`/NAME/VERSION), sorted by name and version, the newest last."""
    bundles = [card.parent for card in folder.glob(f"[!.]*/[!.]*/{CARD}")]
    return tuple(sorted(bundles, key=lambda bundle: (bundle.parent.name, _version_key(bundle.name))))


def find(name_or_path: str, folder: Path | None = None) -> Path:
    """Return the folder of a bundle.

    Built-in names come first, then installed ones: NAME for the newest version, NAME@VERSION for another. Anything else
    is the path of a folder, "~" allowed.

    Parameters
    ----------
    folder
        Folder of installed bundles.

    Raises
    ------
    BundleError
        If it is none of these.
    """
    path = _find(name_or_path, folder)
    if path is not None:
        return path
    from cxr_node.infer.bundle import BundleError  # with PyTorch, which only a process that reads needs

    raise BundleError(
        f"no bundle {name_or_path!r}: expected a folder with a {CARD}, or one of {', '.join(known(folder))}"
    )


def exists(name_or_path: str, folder: Path | None = None) -> bool:
    """Whether `find` finds a bundle."""
    return _find(name_or_path, folder) is not None


def finding_keys(name_or_path: str, folder: Path | None = None) -> tuple[str, ...]:
    """Return the keys of the findings on a bundle's card; none if there is no such bundle, or its card is no card."""
    path = _find(name_or_path, folder)
    try:
        labels = tomllib.loads((path / CARD).read_text(encoding="utf-8"))["labels"] if path else []
        return tuple(str(label["key"]) for label in labels)
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def known(folder: Path | None = None) -> list[str]:
    """Return the names of built-in and installed bundles."""
    candidates = installed(folder) if folder else ()
    return list(dict.fromkeys((*built_in(), *(f"{path.parent.name}@{path.name}" for path in candidates))))


def _find(name_or_path: str, folder: Path | None) -> Path | None:
    if name_or_path in built_in():
        return BUILT_IN / name_or_path
    name, _, version = name_or_path.partition("@")
    candidates = installed(folder) if folder else ()
    matching = [path for path in candidates if path.parent.name == name and version in ("", path.name)]
    if matching:
        return matching[-1]
    path = Path(name_or_path).expanduser()
    return path if (path / CARD).is_file() else None


def _version_key(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, so that 1.10.0 sorts after 1.9.0."""
    return tuple(int(part) if part.isdecimal() else 0 for part in version.split("."))
