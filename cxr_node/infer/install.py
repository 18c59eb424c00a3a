"""Installs bundles into a node's folder, and exports them as one zip file."""

import contextlib
import os
import shutil
import stat
import uuid
import zipfile
from pathlib import Path

from cxr_node.domain.files import flush
from cxr_node.infer import archive, bundle, bundle_registry
from cxr_node.infer.bundle import BundleError
from cxr_node.infer.bundle_registry import CARD
from cxr_node.infer.card import Card

MAX_CARD_BYTES = 1 << 20
_PART = 1 << 20


def install(source: Path, folder: Path, *, may_be_built_in: bool = False) -> Path:
    """Check a bundle as at the start of a node, and store it as `folder`/NAME/VERSION.

    The check runs on a copy, which is flushed and then renamed: other processes see all of it or nothing.

    Parameters
    ----------
    source
        A bundle's folder, or a zip file of it.
    may_be_built_in
        Allow the name of a built-in bundle: only in a folder that is not searched by name.

    Returns
    -------
    Path
        Its folder. Installing the same bundle again changes nothing.

    Raises
    ------
    BundleError
        If it cannot be used, or another bundle has its name and version.
    """
    staged = folder / f".staging-{uuid.uuid4().hex}"
    staged.mkdir(parents=True)
    try:
        _copy(source, staged)
        card = bundle.check(staged)
        if card.name in bundle_registry.built_in() and not may_be_built_in:
            raise BundleError(f"{card.name} is the name of a built-in bundle; give yours another name on its card")
        target = folder / card.name / card.version
        if target.exists():
            _require_same(staged, target)
            return target
        target.parent.mkdir(exist_ok=True)
        staged.rename(target)
        for changed in (target.parent, folder):
            flush(changed)
        return target
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def export(source: Path, file: Path) -> None:
    """Check a bundle and write it as one zip file. The same bundle gives the same bytes.

    Raises
    ------
    BundleError
        If it cannot be used, or the file exists.
    """
    card = bundle.check(source)
    staged = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        with zipfile.ZipFile(staged, "x") as target:
            for name in _files(card):
                target.writestr(zipfile.ZipInfo(f"{card.name}-{card.version}/{name}"), (source / name).read_bytes())
        flush(staged)
        os.link(staged, file)
    except FileExistsError:
        raise BundleError(f"{file} exists already; name a file that does not") from None
    except OSError as error:
        raise BundleError(f"{file}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            staged.unlink(missing_ok=True)


def _files(card: Card) -> tuple[str, ...]:
    """Return the files of a bundle: the card, and the network unless it runs on a server."""
    return (CARD, card.network.file) if card.network.file else (CARD,)


def _copy(source: Path, staged: Path) -> None:
    """Copy the card and the network of `source`, and no other file."""
    if source.is_dir():
        for name in _files(bundle.read_card(source)):
            (staged / name).write_bytes(bundle.read_file(source / name))
    else:
        _unpack(source, staged)
    for path in (*staged.iterdir(), staged):
        flush(path)


def _unpack(source: Path, staged: Path) -> None:
    """Extract the card and the network from a zip file; its stated sizes are not trusted."""
    try:
        with zipfile.ZipFile(source) as packed:
            for entry, name in _members(packed, source).items():
                limit = MAX_CARD_BYTES if name == CARD else archive.MAX_BYTES
                with packed.open(entry) as member, (staged / name).open("wb") as target:
                    while part := member.read(_PART):
                        if target.tell() + len(part) > limit:
                            raise BundleError(f"{source}: {name} is larger than {limit} bytes")
                        target.write(part)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise BundleError(
            f"{source} is no bundle: expected a folder with a {CARD}, or a zip file of it ({error})"
        ) from error
    missing = [name for name in _files(bundle.read_card(staged)) if not (staged / name).exists()]
    if missing:
        raise BundleError(f"{source} is no bundle: its card names {missing[0]}, which is not in it")


def _members(packed: zipfile.ZipFile, source: Path) -> dict[zipfile.ZipInfo, str]:
    """Return the files of a bundle, in one folder or none, with the names to store them under."""
    files = [entry for entry in packed.infolist() if not entry.is_dir()]
    parted = {entry: entry.filename.rpartition("/") for entry in files}
    names = sorted(name for _, _, name in parted.values())
    folders = {before for before, _, _ in parted.values()}
    rooted = any(entry.filename.startswith("/") for entry in files)
    plain = len(folders) == 1 and not rooted and not folders & {".", ".."} and not any("/" in f for f in folders)
    linked = any(stat.S_ISLNK(entry.external_attr >> 16) for entry in files)
    networks = [name for name in names if name.endswith(".pt2") and "\\" not in name]
    if linked or not plain or len(networks) > 1 or names.count(CARD) != 1 or len(files) != 1 + len(networks):
        raise BundleError(
            f"{source} is no bundle: expected {CARD} and at most one .pt2 file in one folder, and nothing else"
        )
    return {entry: name for entry, (_, _, name) in parted.items()}


def _require_same(staged: Path, target: Path) -> None:
    new, old = bundle.read_card(staged), bundle.read_card(target)
    if (staged / CARD).read_bytes() != (target / CARD).read_bytes():
        raise BundleError(
            f"{new.name} {new.version} is installed already, as another bundle (network {old.network.digest}, this one "
            f"{new.network.digest}): give this one another version on its card, or remove {target}"
        )
