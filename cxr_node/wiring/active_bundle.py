"""Active bundle: switches the network between batches when an operator activates another bundle for all hosts.

The new bundle is loaded, checked and warmed up while the old one reads on. A bundle that fails is refused, and the old
one stays.
"""

import logging
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from cxr_node.domain.errors import RetryLater, place_of
from cxr_node.domain.identifiers import digest_of
from cxr_node.records import bundles
from cxr_node.records.bundles import ArchivedBundle, BundleActivation, BundleUse
from cxr_node.wiring.process import Process

_log = logging.getLogger(__name__)

_DETAIL_CHARACTERS = 2000

Opened = TypeVar("Opened")
"""Reader of a bundle, here or at a server."""


class ActiveBundle(Generic[Opened]):
    """The reader of the newest activated bundle that can be used, or of the settings' bundle.

    Parameters
    ----------
    open_reader
        Opens and warms up the bundle in a folder, or that of the settings; may raise anything for one that cannot be
        used.
    """

    def __init__(self, process: Process, *, open_reader: Callable[[Path | None], Opened]) -> None:
        self._process = process
        self._database = process.database
        self._open_reader = open_reader
        self._polling = threading.Lock()
        self._loader: threading.Thread | None = None
        self._handled_activation_id = 0
        activation = self._unhandled_activation()
        activated = self._load(activation) if activation is not None and activation.bundle is not None else None
        self.reader: Opened = activated or open_reader(None)
        """Reader of the next batch."""

    def poll(self) -> None:
        """Start to load another bundle in the background if one was activated. Call between batches."""
        if not self._polling.acquire(blocking=False):
            return
        try:
            if self._loader is not None and self._loader.is_alive():
                return
            activation = self._unhandled_activation()
            if activation is not None:
                self._loader = threading.Thread(target=self._switch, args=(activation,), name="bundle", daemon=True)
                self._loader.start()
        except RetryLater as error:
            _log.warning("the activated bundle is not known for now: %s", error)
        finally:
            self._polling.release()

    def _unhandled_activation(self) -> BundleActivation | None:
        with self._database.read() as connection:
            activation = bundles.newest(connection)
        return None if activation is None or activation.activation_id == self._handled_activation_id else activation

    def _switch(self, activation: BundleActivation) -> None:
        self.reader = self._load(activation) or self.reader

    def _load(self, activation: BundleActivation) -> Opened | None:
        """Return the reader of a activation, warmed up; None if the bundle is refused or cannot be fetched yet."""
        name = "its settings" if activation.bundle is None else f"{activation.bundle.name} {activation.bundle.version}"
        reader, detail = None, ""
        try:
            folder = None if activation.bundle is None else install_from_archive(self._process, activation.bundle)
            reader = self._open_reader(folder)
            _log.warning("reads by %s from now on, activated by %s", name, activation.activated_by)
        except RetryLater as error:  # the next poll tries again
            _log.warning("%s cannot be fetched for now: %s", name, error)
            return None
        except Exception as error:  # noqa: BLE001  # whatever a bundle does wrong, the old one reads on
            detail = str(error)[:_DETAIL_CHARACTERS] or f"it cannot be opened, at {place_of(error)}"
            _log.error("%s, activated by %s, is refused: %s", name, activation.activated_by, detail)
        self._handled_activation_id = activation.activation_id
        self._record_use(activation, detail)
        return reader

    def _record_use(self, activation: BundleActivation, detail: str) -> None:
        use = BundleUse(
            host=self._process.settings.node.host_name,
            activation_id=activation.activation_id,
            is_rejected=bool(detail),
            detail=detail,
            at=self._process.clock(),
        )
        try:
            with self._database.write() as transaction:
                bundles.write_use(transaction, use)
        except RetryLater as error:
            _log.warning("the use of the activated bundle is not recorded: %s", error)


def install_from_archive(process: Process, bundle: ArchivedBundle) -> Path:
    """Return the folder of an activated bundle on this host, installed from the archive if it is not there yet.

    Raises
    ------
    BundleError
        If the archive does not have the bundle unaltered.
    """
    from cxr_node.infer import install
    from cxr_node.infer.bundle import BundleError

    try:
        content = process.archive.get(bundle.archive_key)
    except KeyError:
        raise BundleError("it is not in the archive; activate it again") from None
    if digest_of(content) != bundle.digest:
        raise BundleError("the archived file is not the activated bundle; activate it again")
    with tempfile.TemporaryDirectory() as folder:
        zip_file = Path(folder) / "bundle.zip"
        zip_file.write_bytes(content)
        return install.install(zip_file, process.settings.node.shared_bundles_folder, may_be_built_in=True)
