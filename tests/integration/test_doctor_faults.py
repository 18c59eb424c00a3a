"""Faults planted in a working node: `cxr-node doctor` finds each and names the next step."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.deliver.destination import DeliveryRejected
from cxr_node.domain.clock import utc_now
from cxr_node.ops.single_instance import data_folder_lock
from cxr_node.simulators.pacs import SimulatedPacs
from tests.support import films, peers
from tests.support.node import InProcessNode
from tests.support.running_node import opened, settings_file, to_pacs
from tests.support.tiny_bundles import bundle

Planted = tuple[str, str, str, str]
"""Check that finds the fault, its status, and parts of its message and next step."""


class NodeSetup:
    """Settings of a working node, to plant faults in."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.bundle = bundle(folder / "tiny")
        self.destinations: list[dict[str, object]] = []
        self.more = ""
        self.read = ""
        self.url = ""
        self.reserve = 0

    def config(self) -> Path:
        """Write the settings."""
        path = settings_file(
            self.folder / "node", database_url=self.url, destinations=tuple(self.destinations), more=self.more
        )
        text = path.read_text(encoding="utf-8")
        text = text.replace("threads = 1", f"threads = 1\nbundle = {json.dumps(str(self.bundle))}\n{self.read}")
        path.write_text(text.replace("reserve_bytes = 0", f"reserve_bytes = {self.reserve}"), encoding="utf-8")
        return path

    @contextmanager
    def node(self) -> Iterator[InProcessNode]:
        """Open the node's database and archive."""
        settings = load(self.config())
        settings.node.data_folder.mkdir(parents=True, exist_ok=True)
        with opened(settings) as database:
            migrate.upgrade(database)
            node = InProcessNode(database, settings.node.data_folder)
            node.clock.now = utc_now()
            yield node


def certificate(folder: Path, *, days: float) -> tuple[Path, Path]:
    """Write a certificate that ends in so many days, and its key."""
    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node")])
    end = datetime.now(UTC) + timedelta(days=days)
    issued = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(end - timedelta(days=365))
        .not_valid_after(end)
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{days}.pem", folder / f"{days}-key.pem"
    files[0].write_bytes(issued.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def with_tls(setup: NodeSetup, pem: Path, key: Path) -> None:
    """Let the node receive by TLS with these files."""
    path = setup.config()
    setup.more = f"{setup.more}\n"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("[receive]", f"[receive]\ntls_certificate = {json.dumps(str(pem))}\ntls_key = "
                                 f"{json.dumps(str(key))}"), encoding="utf-8")  # fmt: skip


def no_folder(setup: NodeSetup) -> Planted:
    (setup.folder / "node").mkdir()
    (setup.folder / "node" / "cxr-node-data").write_text("a file where the folder should be")
    return "data folder", "problem", "is not writable", "the node's user"


def no_space(setup: NodeSetup) -> Planted:
    setup.reserve = 2**62
    return "free space", "problem", "bytes are free", "films are rejected"


def database_away(setup: NodeSetup) -> Planted:
    setup.url = f"postgresql://nobody@127.0.0.1:{peers.free_port()}/none"
    return "database", "problem", "cannot be used", "check that it runs"


def database_old(setup: NodeSetup) -> Planted:
    setup.url = f"sqlite:///{setup.folder / 'old.db'}"
    return "database", "note", "without the schema", "db upgrade"


def database_damaged(setup: NodeSetup) -> Planted:
    with setup.node():
        pass
    file = load(setup.config()).node.data_folder / "node.db"
    for part in file.parent.glob("node.db*"):
        part.unlink()
    file.write_bytes(b"this is no database" * 1000)
    return "database", "problem", "the database is damaged", "before the node runs"


def file_missing(setup: NodeSetup) -> Planted:
    with setup.node() as node:
        node.accept(films.dx())
        node.archive.discard(next(iter(node.archive.stored_keys())))
    return "files", "problem", "1 of the newest 1 are missing", "cxr-node reconcile"


def dead_letter(setup: NodeSetup) -> Planted:
    def refuse() -> None:
        raise DeliveryRejected("no")

    with setup.node() as node:
        node.pacs.before_send = refuse
        node.accept(films.dx())
        node.work()
    return "failed jobs", "note", "1 jobs failed", "cxr-node retry"


def not_started(setup: NodeSetup) -> Planted:
    with setup.node() as node:
        node.clock.now -= timedelta(hours=1)
        node.accept(films.dx())
    return "queue", "note", "read 1", "cxr-node run"


def stuck(setup: NodeSetup) -> Planted:
    not_started(setup)
    setup.stack.enter_context(data_folder_lock(load(setup.config()).node.data_folder))
    return "queue", "problem", "more than 15 minutes: read 1", "restart the node"


def port_in_use(setup: NodeSetup) -> Planted:
    listener = setup.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    path = setup.config()
    text = re.sub(r"port = \d+", f"port = {listener.getsockname()[1]}", path.read_text(encoding="utf-8"), count=1)
    path.write_text(text, encoding="utf-8")
    return "receive.port", "problem", "another program listens on it", "stop the other program"


def certificate_past(setup: NodeSetup) -> Planted:
    with_tls(setup, *certificate(setup.folder / "tls", days=-1))
    return "certificate of receive.tls_certificate", "problem", "expired on", "replace it"


def certificate_soon(setup: NodeSetup) -> Planted:
    with_tls(setup, *certificate(setup.folder / "tls", days=10))
    return "certificate of receive.tls_certificate", "note", "in 9 days", "replace it"


def certificate_missing(setup: NodeSetup) -> Planted:
    _, key = certificate(setup.folder / "tls", days=100)
    with_tls(setup, setup.folder / "nowhere.pem", key)
    return "certificate of receive.tls_certificate", "problem", "No such file", "provide a PEM file"


def key_of_another(setup: NodeSetup) -> Planted:
    pem, _ = certificate(setup.folder / "tls", days=100)
    _, other = certificate(setup.folder / "tls", days=101)
    with_tls(setup, pem, other)
    return "key of receive", "problem", "key values mismatch", "replace it by the key"


def destination_away(setup: NodeSetup) -> Planted:
    setup.destinations = [to_pacs(peers.free_port(), "PACS")]
    return "destination pacs", "problem", "", "results wait until then"


def destination_refuses_us(setup: NodeSetup) -> Planted:
    pacs = setup.stack.enter_context(SimulatedPacs(calling_ae_titles=["SOMEONE"]))
    setup.destinations = [to_pacs(pacs.port, pacs.ae_title)]
    return "destination pacs", "problem", "", "permit the node's AE title"


def destination_takes_no_reports(setup: NodeSetup) -> Planted:
    pacs = setup.stack.enter_context(SimulatedPacs(sop_classes=(peers.STORAGE[0], peers.VERIFICATION)))
    setup.destinations = [to_pacs(pacs.port, pacs.ae_title)]
    return "report to pacs", "problem", "is not accepted", "have its administrator permit"


def destination_folder_is_a_file(setup: NodeSetup) -> Planted:
    (setup.folder / "share").write_text("a file")
    setup.destinations = [{"kind": "folder", "name": "share", "folder": str(setup.folder / "share")}]
    return "destination share", "problem", "is not writable", "configure another"


def finding_unknown(setup: NodeSetup) -> Planted:
    folder = str(setup.folder / "results")
    setup.destinations = [{"kind": "folder", "name": "out", "folder": folder, "when.findings": ["mass"]}]
    return (
        "rules",
        "problem",
        "no bundle of this host has the finding 'mass'; there are lung_opacity",
        "name one of them",
    )


def bundle_missing(setup: NodeSetup) -> Planted:
    setup.bundle = setup.folder / "nowhere"
    return "bundle", "problem", "", "cxr-node bundle list"


def bundle_damaged(setup: NodeSetup) -> Planted:
    network = setup.bundle / "network.pt2"
    network.write_bytes(network.read_bytes()[:-1] + b"?")
    return "bundle", "problem", "SHA-256", "set read.bundle"


def gpu_missing(setup: NodeSetup) -> Planted:
    setup.read = 'device = "cuda:7"'
    return "GPU", "problem", "cuda:7", "nvidia-smi"


def page_in_the_open(setup: NodeSetup) -> Planted:
    setup.more = '[web]\nport = 0\nhost = "0.0.0.0"'
    return "web", "problem", "passwords would cross the network", "proxy with TLS"


FAULTS: tuple[Callable[[NodeSetup], Planted], ...] = (
    no_folder, no_space, database_away, database_old, database_damaged, file_missing, dead_letter, not_started, stuck,
    port_in_use, certificate_past, certificate_soon, certificate_missing, key_of_another, destination_away,
    destination_refuses_us, destination_takes_no_reports, destination_folder_is_a_file, finding_unknown,
    bundle_missing, bundle_damaged, gpu_missing, page_in_the_open,
)  # fmt: skip


def doctor(config: Path) -> tuple[int, dict[str, dict[str, str]]]:
    ended = CliRunner().invoke(app, ["doctor", "--json", "--config", str(config)])
    assert ended.exit_code in (0, 1), ended.output
    return ended.exit_code, {check["name"]: check for check in json.loads(ended.output)["checks"]}


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[NodeSetup]:
    with ExitStack() as stack:
        yield NodeSetup(tmp_path, stack)


def test_node_without_faults_has_no_problem(setup: NodeSetup) -> None:
    with setup.node() as node:
        node.accept(films.dx())
        node.work()
    pem, key = certificate(setup.folder / "tls", days=100)
    path = setup.config()
    with_tls(setup, pem, key)

    exit_code, checks = doctor(path)

    assert exit_code == 0
    assert {name for name, check in checks.items() if check["status"] == "problem"} == set()
    assert {name for name, check in checks.items() if check["status"] == "note"} == {"destinations", "web"}


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_planted_fault_is_found_with_its_next_step(plant: Callable[[NodeSetup], Planted], setup: NodeSetup) -> None:
    name, status, message, next_step = plant(setup)
    path = setup.folder / "node" / "cxr-node.toml"
    exit_code, checks = doctor(path if path.exists() else setup.config())

    assert checks[name]["status"] == status, checks[name]
    assert message in checks[name]["message"]
    assert next_step in checks[name]["next_step"]
    assert exit_code == (1 if status == "problem" else 0)
    assert {key for key, check in checks.items() if check["status"] == "problem"} <= {name}
