"""What the node says while it runs, and what it holds back."""

import logging
import sys
import warnings

_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
# These libraries quote element values, patients' among them, in messages and warnings.
_QUOTING = ("pydicom", "pynetdicom", "highdicom", "PIL")


def configure(level: str) -> None:
    """Send the node's own messages to standard error, and nothing that could quote a film."""
    logging.basicConfig(level=logging.WARNING, format=_FORMAT, stream=sys.stderr, force=True)
    logging.getLogger("cxr_node").setLevel(level.upper())
    for name in _QUOTING:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.raiseExceptions = False
    warnings.simplefilter("ignore")
