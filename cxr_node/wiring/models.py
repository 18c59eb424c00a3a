"""The network that a reader reads with, exchanged between two films when another bundle was chosen for all.

The new one is opened, checked and warmed up beside the old one, which reads on; what cannot be used is refused, and the
old one stays.
"""

import logging
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_node.db.database import Database
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Prediction
from cxr_node.records import bundles
from cxr_node.records.bundles import Choice, ChosenBundle, Use
from cxr_node.settings.root import Settings
from cxr_node.wiring import process

if TYPE_CHECKING:
    from cxr_node.infer.reader import Reader

_log = logging.getLogger(__name__)

_LONGEST = 2000
"""Characters of the reason why a bundle is refused."""

OpensReader = Callable[[Path | None], "Reader"]
"""Makes what reads with the bundle in a folder, ready to; without one, with the bundle of the settings."""


class Models:
    """What reads, now: the newest choice for all readers if it can be used, else what was there before.

    Parameters
    ----------
    opens
        Raises what it will for a bundle that cannot be used.
    """

    def __init__(self, settings: Settings, opened: Database, *, opens: OpensReader) -> None:
        self._settings = settings
        self._database = opened
        self._opens = opens
        self._looking = threading.Lock()
        self._loader: threading.Thread | None = None
        self._seen = 0
        choice = self._unseen()
        opened_reader = self._changed(choice) if choice is not None and choice.bundle is not None else None
        self.current: Reader = opened_reader or opens(None)
        """What reads the next film."""

    def read(self, films: Sequence[Radiograph]) -> tuple[Prediction, ...]:
        """Read films with what reads now; see `Reader.read`."""
        return self.current.read(films)

    def look(self) -> None:
        """Begin to change to another choice, if there is one. To be called between films: it asks and does not wait."""
        if not self._looking.acquire(blocking=False):
            return
        try:
            if self._loader is not None and self._loader.is_alive():
                return
            choice = self._unseen()
            if choice is not None:
                self._loader = threading.Thread(target=self._change, args=(choice,), name="bundle", daemon=True)
                self._loader.start()
        except RetryLater as error:
            _log.warning("which bundle is to be read with is not known for now: %s", error)
        finally:
            self._looking.release()

    def _unseen(self) -> Choice | None:
        with self._database.read() as connection:
            choice = bundles.newest(connection)
        return None if choice is None or choice.choice_id == self._seen else choice

    def _change(self, choice: Choice) -> None:
        self.current = self._changed(choice) or self.current

    def _changed(self, choice: Choice) -> "Reader | None":
        """Return what reads by a choice, ready to; None where it is refused, which is said, or cannot be known yet."""
        name = "its settings" if choice.bundle is None else f"{choice.bundle.name} {choice.bundle.version}"
        reader, detail = None, ""
        try:
            reader = self._opens(None if choice.bundle is None else fetched(self._settings, choice.bundle))
            _log.warning("reads by %s from now on, as %s has chosen", name, choice.chosen_by)
        except RetryLater as error:  # tried again at the next look
            _log.warning("%s cannot be fetched for now: %s", name, error)
            return None
        except Exception as error:  # noqa: BLE001  # whatever a bundle does wrong, what there was reads on
            detail = str(error)[:_LONGEST] or type(error).__name__
            _log.error("%s, which %s has chosen, is refused: %s", name, choice.chosen_by, detail)
        self._seen = choice.choice_id
        self._tell(choice, detail)
        return reader

    def _tell(self, choice: Choice, detail: str) -> None:
        use = Use(
            host=process.host(self._settings),
            choice_id=choice.choice_id,
            is_refused=bool(detail),
            detail=detail,
            at=process.now(),
        )
        try:
            with self._database.write() as transaction:
                bundles.write_use(transaction, use)
        except RetryLater as error:
            _log.warning("what became of the chosen bundle is not in the database: %s", error)


def fetched(settings: Settings, chosen: ChosenBundle) -> Path:
    """Return where a bundle that was chosen for all is on this machine; got from the archive where it is not yet.

    Raises
    ------
    BundleError
        If the archive does not have it as it was.
    """
    from cxr_node.infer import install
    from cxr_node.infer.bundle import BundleError

    try:
        content = process.archive(settings).get(chosen.archive_key)
    except KeyError:
        raise BundleError("it is not in the archive; activate it again") from None
    if digest_of(content) != chosen.digest:
        raise BundleError("what the archive keeps is not what was activated; activate it again")
    with tempfile.TemporaryDirectory() as aside:
        packed = Path(aside) / "bundle.zip"
        packed.write_bytes(content)
        return install.install(packed, process.shared_bundles_folder(settings), may_be_built_in=True)
