"""Wheel and sdist: what is in them, and the one place of the version."""

import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support import shared_files
from tests.support.films import ROOT

VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
WHEEL = f"cxr_node-{VERSION}-py3-none-any.whl"
SDIST = f"cxr_node-{VERSION}.tar.gz"


def project_files(*folders: str) -> set[str]:
    """Return the files of the project below these folders, committed or not, without those that git ignores."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *folders]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return {name for name in listed if (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sdist = pytest.importorskip("hatchling.builders.sdist", reason="hatchling is not installed")
    wheel = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    folder = tmp_path_factory.mktemp("dist")

    def build(builder: Any) -> bytes:
        (path,) = builder(str(ROOT)).build(directory=str(folder), versions=["standard"])
        return Path(path).read_bytes()

    for name, builder in ((WHEEL, wheel.WheelBuilder), (SDIST, sdist.SdistBuilder)):
        (folder / name).write_bytes(shared_files.made_once(name, partial(build, builder)))
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(built / WHEEL) as opened:
        yield opened


@pytest.mark.slow
def test_the_wheel_has_the_package_and_its_migrations_and_no_more(wheel: zipfile.ZipFile) -> None:
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert names == project_files("cxr_node") | {f"cxr_node/{name}" for name in project_files("migrations")}
    assert {Path(name).suffix for name in names} & {".pyc", ".png", ".jpg", ".db", ".log"} == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "cxr_node/__main__.py",
        "cxr_node/py.typed",
        "cxr_node/migrations/env.py",
        "cxr_node/migrations/versions/0001_initial_schema.sqlite.sql",
        "cxr_node/bundles/chest/network.pt2",
        "cxr_node/bundles/chest/NOTICE.md",
        "cxr_node/report/languages/de.toml",
        "cxr_node/report/fonts/OFL.txt",
        "cxr_node/queries/views/v1_films.toml",
        "cxr_node/simulators/films/NOTICE.md",
        "cxr_node/web/templates/base.html",
        "cxr_node/web/static/vendor/htmx-LICENSE.txt",
    ],
)
def test_the_wheel_has_what_a_node_needs(wheel: zipfile.ZipFile, name: str) -> None:
    assert wheel.getinfo(name).file_size > 0 or name.endswith("py.typed")


@pytest.mark.slow
def test_the_wheel_states_license_files_command_and_python(wheel: zipfile.ZipFile) -> None:
    folder = f"cxr_node-{VERSION}.dist-info"
    metadata = wheel.read(f"{folder}/METADATA").decode()

    for name in ("LICENSE", "NOTICE.md"):
        assert wheel.read(f"{folder}/licenses/{name}") == (ROOT / name).read_bytes()
    assert "cxr-node = cxr_node.__main__:main" in wheel.read(f"{folder}/entry_points.txt").decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata


@pytest.mark.slow
def test_the_sdist_has_what_its_wheel_is_built_of_and_no_more(built: Path) -> None:
    with tarfile.open(built / SDIST) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}

    files = ("config.example.toml", "README.md", "CHANGELOG.md", "LICENSE", "NOTICE.md")
    assert names - {"PKG-INFO", ".gitignore"} == project_files("cxr_node", "migrations") | {*files, "pyproject.toml"}


def test_the_version_is_in_one_place() -> None:
    copies = [name for name in project_files("cxr_node") if Path(name).suffix in (".py", ".html", ".jinja", ".toml")]

    for name in copies:
        assert f'"{VERSION}"' not in (ROOT / name).read_text(encoding="utf-8"), name


@pytest.mark.parametrize("suffix", ["", ".new", ".old"])
def test_the_installer_touches_no_folder_of_another_content(suffix: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "deploy" / "offline" / "install.sh", tmp_path)
    (tmp_path / "python-version").write_text(f"{sys.version_info.major}.{sys.version_info.minor}\n", encoding="ascii")
    database_file = tmp_path / f"data{suffix}" / "node.db"
    database_file.parent.mkdir()
    database_file.touch()

    ended = subprocess.run(
        ["sh", tmp_path / "install.sh", f"{tmp_path}/data/"],
        env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )

    assert ended.returncode == 1
    assert f"{database_file.parent} has another content" in ended.stderr
    assert database_file.exists()
