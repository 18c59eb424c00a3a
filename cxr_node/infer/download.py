"""A published file over HTTPS, kept only if its SHA-256 is the one that was asked for."""

import hashlib
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from cxr_node.infer.bundle import BundleError

MAX_BYTES = 512 << 20
_PART = 1 << 20
_SCHEMES = ("https", "http")
"""Without TLS a file is as good, for its digest is checked, but others see what is fetched."""


def fetch(
    url: str, target: Path, *, sha256: str, timeout_s: float = 60.0, progress: Callable[[int], None] = lambda _: None
) -> None:
    """Fetch `url` into `target`, which comes into being only as a whole.

    Parameters
    ----------
    sha256
        What the file must have, in hexadecimal digits.
    timeout_s
        How long the server may be silent, in seconds.
    progress
        Told how many bytes have come.

    Raises
    ------
    BundleError
        If it cannot be fetched, is too large, or is another file.
    """
    if urlsplit(url).scheme not in _SCHEMES:
        raise BundleError(f"{url}: expected an address that begins with https:// or http://")
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        found = _digest(url, aside, timeout_s, progress)
        if found != sha256:
            raise BundleError(f"{url} has SHA-256 {found}, expected {sha256}; it was not opened, and not kept")
        aside.rename(target)
    except (urllib.error.URLError, HTTPException, OSError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise BundleError(f"{url} cannot be fetched ({error})") from error
    finally:
        aside.unlink(missing_ok=True)


def _digest(url: str, aside: Path, timeout_s: float, progress: Callable[[int], None]) -> str:
    """Write what comes to `aside` and return its SHA-256."""
    seen = hashlib.sha256()
    with (
        urllib.request.urlopen(url, timeout=timeout_s) as answer,  # noqa: S310 - the scheme was checked
        aside.open("xb") as file,
    ):
        while part := answer.read(_PART):
            if file.tell() + len(part) > MAX_BYTES:
                raise BundleError(f"{url} is larger than {MAX_BYTES} bytes")
            file.write(part)
            seen.update(part)
            progress(file.tell())
        stated = answer.headers.get("Content-Length")
        if stated is not None and stated.isdecimal() and int(stated) != file.tell():
            raise BundleError(f"{url} ended after {file.tell()} of {stated} bytes; try again")
    return seen.hexdigest()
