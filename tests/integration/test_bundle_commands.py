"""`cxr-node bundle`: bundles listed, shown, verified, installed, passed on and fetched."""

import hashlib
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from cxr_node import config
from cxr_node.cli import app
from cxr_node.infer import bundle_registry
from cxr_node.infer.bundle import BundleError
from tests.support import hostile_pickles, tiny_bundles

MODEL = "densenet121-res224-all"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text("", encoding="utf-8")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app.app, ["bundle", *map(str, arguments)])


def succeed(*arguments: object) -> str:
    ended = run(*arguments)
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def fail(*arguments: object) -> str:
    ended = run(*arguments)
    assert ended.exit_code == 1, ended.output
    assert "Traceback" not in ended.output
    return " ".join(ended.stderr.split())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def bundles(settings: Path) -> Path:
    return config.load(settings).node.bundles_folder


def test_installed_bundle_is_listed_and_found_by_name(settings: Path, tmp_path: Path) -> None:
    output = succeed("install", tiny_bundles.bundle(tmp_path / "mine"), "--config", settings)

    assert 'bundle = "tiny"' in output
    rows = json.loads(succeed("list", "--json", "--config", settings))
    assert [(row["name"], row["version"], row["from"]) for row in rows if row["name"] == "tiny"] == [
        ("tiny", "1.2.3", "installed")
    ]
    assert {row["name"] for row in rows} == {"tiny", *bundle_registry.built_in()}
    assert "can be used" in succeed("verify", "tiny", "--config", settings)
    assert "tiny" in succeed("list", "--config", settings)


def test_name_selects_the_newest_version_of_a_bundle(settings: Path, tmp_path: Path) -> None:
    for version in ("1.9.0", "1.10.0", "1.2.3"):
        source = tiny_bundles.bundle(tmp_path / version, changes=(('version = "1.2.3"', f'version = "{version}"'),))
        succeed("install", source, "--config", settings)

    folder = bundles(settings)

    assert bundle_registry.find("tiny", folder) == folder / "tiny" / "1.10.0"
    assert bundle_registry.find("tiny@1.9.0", folder) == folder / "tiny" / "1.9.0"
    with pytest.raises(BundleError, match=r"no bundle 'tiny@2\.0\.0'.*tiny@1\.10\.0"):
        bundle_registry.find("tiny@2.0.0", folder)


def test_only_an_identical_bundle_may_be_installed_again(settings: Path, tmp_path: Path) -> None:
    mine = tiny_bundles.bundle(tmp_path / "mine")
    succeed("install", mine, "--config", settings)
    succeed("install", mine, "--config", settings)
    torch.manual_seed(99)
    other = tiny_bundles.bundle(
        tmp_path / "other", changes=(('manufacturer = "The tests"', 'manufacturer = "Others"'),)
    )

    output = fail("install", other, "--config", settings)

    assert "tiny 1.2.3 is installed already, as another bundle" in output
    assert "another version" in output
    assert names(bundles(settings)) == ["tiny"]


def test_unusable_bundle_is_not_installed(settings: Path, tmp_path: Path) -> None:
    mine = tiny_bundles.bundle(tmp_path / "mine")
    network = mine / "network.pt2"
    network.write_bytes(network.read_bytes()[:-1] + b"x")

    assert "has SHA-256" in fail("verify", mine, "--config", settings)
    assert "has SHA-256" in fail("install", mine, "--config", settings)
    assert names(bundles(settings)) == []


def test_bundle_with_a_built_in_name_is_not_installed(settings: Path, tmp_path: Path) -> None:
    mine = tiny_bundles.bundle(tmp_path / "mine", changes=(('name = "tiny"', 'name = "chest"'),))

    assert "another name" in fail("install", mine, "--config", settings)


def test_export_is_reproducible_and_installs_as_the_same_bundle(settings: Path, tmp_path: Path) -> None:
    mine = tiny_bundles.bundle(tmp_path / "mine")
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    succeed("export", mine, first, "--config", settings)
    succeed("install", first, "--config", settings)
    succeed("export", "tiny", second, "--config", settings)

    assert first.read_bytes() == second.read_bytes()
    installed = bundles(settings) / "tiny" / "1.2.3"
    assert names(installed) == ["card.toml", "network.pt2"]
    assert all((installed / name).read_bytes() == (mine / name).read_bytes() for name in names(installed))
    assert "exists already" in fail("export", "tiny", second, "--config", settings)


@pytest.mark.parametrize(
    "members",
    [
        ("../card.toml", "../network.pt2"),
        ("/card.toml", "/network.pt2"),
        ("a/b/card.toml", "a/b/network.pt2"),
        ("card.toml", "network.pt2", "more.py"),
        ("card.toml",),
        ("card.toml", "card.toml", "network.pt2"),
        ("one/card.toml", "two/network.pt2"),
    ],
    ids="+".join,
)
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_zip_file_of_anything_else_is_rejected(members: tuple[str, ...], settings: Path, tmp_path: Path) -> None:
    mine, packed = tiny_bundles.bundle(tmp_path / "mine"), tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for name in members:
            archive.writestr(name, (mine / "card.toml").read_bytes())

    assert "is no bundle" in fail("install", packed, "--config", settings)
    assert names(tmp_path) == ["cxr-node-data", "mine", "node.toml", "packed.zip"]
    assert names(bundles(settings)) == []


def test_zip_bomb_is_rejected(settings: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("card.toml", bytes(8 << 20))
        archive.writestr("network.pt2", b"")

    assert "card.toml is larger than" in fail("install", packed, "--config", settings)


def test_file_that_is_no_bundle_is_rejected_with_a_hint(settings: Path, tmp_path: Path) -> None:
    assert "expected a folder with a card.toml" in fail("install", tmp_path / "none", "--config", settings)
    assert "expected a folder with a card.toml" in fail("show", "none", "--config", settings)


def test_card_is_shown_as_text_and_json(settings: Path, tmp_path: Path) -> None:
    mine = tiny_bundles.bundle(tmp_path / "mine")

    shown = " ".join(succeed("show", mine, "--config", settings).split())

    for output in ("tiny 1.2.3", "Research use only.", "Knows nothing.", "lung_opacity", "112001", "threshold", "50"):
        assert output in shown
    card = json.loads(succeed("show", mine, "--json", "--config", settings))
    assert card["labels"][0]["code"]["value"] == "112001"


def test_figures_of_a_card_are_shown_with_their_intervals(settings: Path) -> None:
    (name, *_) = bundle_registry.built_in()
    figures = json.loads(succeed("show", name, "--json", "--config", settings))["evidence"]["metrics"]

    shown = succeed("show", name, "--config", settings)

    assert figures
    assert all(f"{figure['value']:g}" in shown and f"({figure['low']:g}" in shown for figure in figures)


def test_node_reads_with_an_installed_bundle(settings: Path, tmp_path: Path) -> None:
    succeed("install", tiny_bundles.bundle(tmp_path / "mine"), "--config", settings)
    settings.write_text('[read]\nbundle = "tiny"\n', encoding="utf-8")

    folder = bundle_registry.find(str(config.load(settings).read.bundle), bundles(settings))

    assert folder.is_relative_to(tmp_path / "cxr-node-data")


def test_unknown_model_is_rejected_with_the_known_names(tmp_path: Path) -> None:
    output = fail("import-xrv", "densenet121", "--weights", tmp_path / "w.pt", "--to", tmp_path / "to")

    assert MODEL in output


def test_weight_file_with_another_digest_is_not_opened(tmp_path: Path) -> None:
    weights, marker = tmp_path / "weights.pt", tmp_path / "run"
    weights.write_bytes(hostile_pickles.legacy(hostile_pickles.calls(marker)["posix.system"]))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    arguments = ("import-xrv", MODEL, "--weights", weights, "--to", tmp_path / "to")

    assert f"--sha256 {digest}" in fail(*arguments)
    assert "it names posix.system, which no weights need" in fail(*arguments, "--sha256", digest)
    assert not marker.exists()
    assert not (tmp_path / "to").exists()


def test_weights_of_another_network_are_refused_by_what_is_wrong(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    torch.save(torch.nn.Linear(2, 2).state_dict(), weights)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()

    output = fail("import-xrv", MODEL, "--weights", weights, "--to", tmp_path / "to", "--sha256", digest)

    assert f"the file is not one of {MODEL} (DenseNet-121): features.conv0.weight is missing" in output


class Files(BaseHTTPRequestHandler):
    """Serves one file, and half of it as if it were all."""

    content = hostile_pickles.zipped({"weight": torch.zeros(2)})

    def do_GET(self) -> None:
        """Answer a request."""
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content[: len(self.content) // 2] if self.path == "/half" else self.content)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()
        thread.join()


def test_fetched_file_is_opened_only_with_its_digest(server: str, tmp_path: Path) -> None:
    right = hashlib.sha256(Files.content).hexdigest()
    arguments = ("pull", MODEL, "--to", tmp_path / "to", "--url", f"{server}/weights.pt")

    assert f"has SHA-256 {right}" in fail(*arguments)
    assert "it was not opened" in fail(*arguments, "--sha256", "0" * 64)
    # With the right digest the import goes on, and finds that these are no weights of a DenseNet.
    assert "is not one of" in fail(*arguments, "--sha256", right)
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("path", ["none", "half"])
def test_failed_fetch_explains_the_manual_import(path: str, server: str, tmp_path: Path) -> None:
    output = fail("pull", MODEL, "--to", tmp_path / "to", "--url", f"{server}/{path}")

    assert f"import-xrv {MODEL} --weights FILE" in output


def test_without_the_internet_the_manual_steps_are_printed(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as closed:
        port = closed.server_address[1]

    output = fail("pull", MODEL, "--to", tmp_path / "to", "--url", f"https://127.0.0.1:{port}/weights.pt")

    assert "cannot be fetched" in output
    assert f"import-xrv {MODEL} --weights FILE" in output


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/weights.pt"])
def test_only_the_web_is_fetched_from(url: str, tmp_path: Path) -> None:
    assert "expected an address that begins with https" in fail("pull", MODEL, "--to", tmp_path / "to", "--url", url)


def test_file_without_a_known_digest_is_not_fetched(tmp_path: Path) -> None:
    assert "--sha256" in fail("pull", "densenet121-res224-nih", "--to", tmp_path / "to")
