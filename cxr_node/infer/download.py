"""Download of a published file over HTTPS, kept only if its SHA-256 matches."""

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
"""http is safe too, since the digest is checked, but others can see the request."""


def fetch(
    url: str, target: Path, *, sha256: str, timeout_s: float = 60.0, progress: Callable[[int], None] = lambda _: None
) -> None:
    """Download `url` to `target`, which appears only when complete.

    Parameters
    ----------
    sha256
        Expected digest of the file, in hexadecimal digits.
    timeout_s
        Longest wait for data from the server, in seconds.
    progress
        Called with the number of bytes received so far.

    Raises
    ------
    BundleError
        If it cannot be downloaded, is too large, or has another digest.
    """
    if urlsplit(url).scheme not in _SCHEMES:
        raise BundleError(f"{url}: expected an address that begins with https:// or http://")
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        digest = _download(url, partial, timeout_s, progress)
        if digest != sha256:
            raise BundleError(f"{url} has SHA-256 {digest}, expected {sha256}; it was not opened, and not kept")
        partial.rename(target)
    except (urllib.error.URLError, HTTPException, OSError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise BundleError(f"{url} cannot be fetched ({error})") from error
    finally:
        partial.unlink(missing_ok=True)


def _download(url: str, partial: Path, timeout_s: float, progress: Callable[[int], None]) -> str:
    """Write the response to `partial` and return its SHA-256."""
    digest = hashlib.sha256()
    with (
        urllib.request.urlopen(url, timeout=timeout_s) as response,  # noqa: S310 - the scheme was checked
        partial.open("xb") as file,
    ):
        while part := response.read(_PART):
            if file.tell() + len(part) > MAX_BYTES:
                raise BundleError(f"{url} is larger than {MAX_BYTES} bytes")
            file.write(part)
            digest.update(part)
            progress(file.tell())
        stated = response.headers.get("Content-Length")
        if stated is not None and stated.isdecimal() and int(stated) != file.tell():
            raise BundleError(f"{url} ended after {file.tell()} of {stated} bytes; try again")
    return digest.hexdigest()
