"""`make showcase`: a node, Orthanc as its PACS, OHIF, and films from a modality, until Ctrl+C; prints three links.

    python -m deploy.showcase            # until Ctrl+C
    python -m deploy.showcase --once     # looks at the three links, and ends: status 0 if each of them answers

Nothing is fetched but OHIF, once, from npm. Without it, or without the DICOMweb plug-in of Orthanc, Orthanc's own page
takes its place, and a line says why.
"""

import argparse
import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from pydicom import dcmread

from cxr_node.cli.database import reading_database
from cxr_node.cli.demo_page import Account, new_account
from cxr_node.db.states import ENDED
from cxr_node.domain.identifiers import AeTitle
from cxr_node.queue import search
from cxr_node.simulators import modality
from cxr_node.simulators.demo_films import write_demo_films
from cxr_node.simulators.program import ROLES, Program
from deploy.showcase import ohif, orthanc
from deploy.showcase.ohif import LOOPBACK
from deploy.showcase.orthanc import Missing, Orthanc

NODE = AeTitle("CXRNODE")
MODALITY = AeTitle("SHOWCASE_DX")
_START_S, _RESULTS_S, _POLL_S = 600.0, 600.0, 0.2


class ShowcaseFailed(Exception):
    """A part did not start or answer; the sentence says which."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the showcase of the command line."""
    parser = argparse.ArgumentParser(description="Node, Orthanc, OHIF and films, with three links.")
    parser.add_argument("--once", action="store_true", help="look at the links and end")
    parser.add_argument("--orthanc-port", type=int, default=4242, help="DICOM port of Orthanc; default: %(default)s")
    parser.add_argument("--orthanc-http-port", type=int, default=8042, help="default: %(default)s")
    parser.add_argument("--viewer-port", type=int, default=3000, help="port of OHIF; default: %(default)s")
    options = parser.parse_args(arguments)
    begun = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="cxr-node-showcase-") as folder, ExitStack() as stack:
            showcase = _Showcase(Path(folder), stack)
            links = showcase.start(options.orthanc_port, options.orthanc_http_port, options.viewer_port)
            print(f"\nready after {time.monotonic() - begun:.0f} s:")
            for what, link in links.items():
                print(f"  {what:18} {link}")
            print(f"  {'':18} name {showcase.account.name}, password {showcase.account.password}")
            print("Research use only: no reading is verified.", flush=True)
            if options.once:
                _look_at(links.values())
            else:
                print("Everything runs until Ctrl+C.", flush=True)
                showcase.wait()
    except (Missing, ShowcaseFailed) as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopping ...")
    return 0


class _Showcase:
    """The parts, which end with `stack`; all files are in `folder`."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.account: Account = new_account()
        self._folder, self._stack = folder, stack

    def start(self, dicom_port: int, http_port: int, viewer_port: int) -> dict[str, str]:
        """Start all parts, send the films, and return three links by what they lead to."""
        pacs = self._stack.enter_context(
            orthanc.running(self._folder / "orthanc", port=dicom_port, http_port=http_port)
        )
        print("Orthanc runs; the node starts ...", flush=True)
        films = list(write_demo_films(self._folder / "films"))
        node = self._stack.enter_context(self._node(pacs))
        self._node_program = node
        if not node.wait_until_ready(*ROLES, "admin", timeout_s=_START_S):
            raise ShowcaseFailed(node.state())
        # The modality sends to the PACS and to the node, as a router does.
        host, _, port = node.addresses["receive"].rpartition(":")
        _send(films, LOOPBACK, pacs.port, orthanc.AE_TITLE)
        _send(films, host, int(port), NODE)
        print("films sent; they are being read ...", flush=True)
        self._wait_until_delivered(node)
        study = str(dcmread(films[2], stop_before_pixels=True).StudyInstanceUID)  # the film with an opacity
        return {
            "page of the node": f"http://{node.addresses['admin']}/",
            **self._viewer(pacs, viewer_port, study),
            "Orthanc": f"{pacs.address}/app/explorer.html",
        }

    def wait(self) -> None:
        """Wait until the node ends, which it does not by itself."""
        self._node_program.process.wait()
        raise ShowcaseFailed(self._node_program.state())

    def _node(self, pacs: Orthanc) -> Program:
        settings = self._folder / "cxr-node.toml"
        destination = {
            "kind": "cstore",
            "name": "orthanc",
            "host": LOOPBACK,
            "port": pacs.port,
            "ae_title": str(orthanc.AE_TITLE),
            "results": ["report-ohif", "text", "picture"],
        }
        rows = "\n".join(f"{name} = {json.dumps(value)}" for name, value in destination.items())
        settings.write_text(
            f"""\
[node]
data_folder = "node"
[receive]
ae_title = "{NODE}"
port = 0
# A few films do not repay the measurement of engines, nor a preprocessing pool.
[read]
engine = "eager"
processes = 0
[compose]
study_quiet_s = 0.5
[log]
level = "warning"
[[deliver.destinations]]
{rows}
{self.account.settings}""",
            encoding="utf-8",
        )
        return Program(settings, log=self._folder / "node.log", roles=(*ROLES, "admin"), own_group=False)

    def _wait_until_delivered(self, node: Program) -> None:
        deadline = time.monotonic() + _RESULTS_S
        while node.process.poll() is None and time.monotonic() < deadline:
            with reading_database(node.config) as connection:
                counts = search.counts(connection)
            if counts and all(count.state in ENDED for count in counts):
                return
            time.sleep(_POLL_S)
        raise ShowcaseFailed(f"not every result was delivered; {node.state()}")

    def _viewer(self, pacs: Orthanc, port: int, study: str) -> dict[str, str]:
        """Return the link to the study in OHIF, or in Orthanc's own viewer."""
        try:
            address = self._stack.enter_context(ohif.served(ohif.ohif(), pacs.http_port, port=port))
        except ohif.Unavailable as missing:
            print(f"without OHIF ({missing})")
            return {"study in Orthanc": f"{pacs.address}/app/explorer.html#study?uuid={pacs.find_study(study)}"}
        return {"study in OHIF": f"{address}/viewer?StudyInstanceUIDs={study}"}


def _send(films: Sequence[Path], host: str, port: int, called: AeTitle) -> None:
    sent = modality.send(films, host=host, port=port, called_ae_title=called, calling_ae_title=MODALITY)
    if unsent := [result for result in sent if not result.stored]:
        raise ShowcaseFailed(f"{called} did not store {unsent[0].film}: {unsent[0].comment}")


def _look_at(links: Iterable[str]) -> None:
    for link in links:
        with urllib.request.urlopen(link, timeout=60) as answer:  # noqa: S310  # on this host
            if not answer.read():
                raise ShowcaseFailed(f"{link} is empty")


if __name__ == "__main__":
    sys.exit(main())
