"""pynetdicom unchanged, with up to 100 associations and a handler that only writes the file.

python -m benchmarks.load.stock PORT FOLDER
"""

import sys
from pathlib import Path

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # created at import

from benchmarks.load.films import KINDS

_ASSOCIATIONS = 100


def main() -> None:
    """Serve until ended."""
    port, folder = int(sys.argv[1]), Path(sys.argv[2])

    def on_c_store(event: evt.Event) -> int:
        path = folder / f"{event.request.AffectedSOPInstanceUID}.dcm"  # type: ignore[union-attr]  # it is a C-STORE
        path.write_bytes(event.encoded_dataset())
        return 0

    entity = AE()
    entity.maximum_associations = _ASSOCIATIONS
    entity.add_supported_context(Verification)
    for sop_class_uid in {kind.sop_class_uid for kind in KINDS.values()}:
        entity.add_supported_context(sop_class_uid, ALL_TRANSFER_SYNTAXES)
    entity.start_server(("127.0.0.1", port), evt_handlers=[(evt.EVT_C_STORE, on_c_store)])


if __name__ == "__main__":
    main()
