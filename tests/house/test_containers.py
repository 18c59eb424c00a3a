"""Containers, compose file and chart: linted, valid, and in agreement with the program."""

import json
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import text

from cxr_node import config
from cxr_node.db.database import Database
from tests.support import tools
from tests.support.films import ROOT

FOLDER = ROOT / "deploy" / "container"
CHART = ROOT / "deploy" / "helm" / "cxr-node"
VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
IMAGES = [FOLDER / "Containerfile", FOLDER / "Containerfile.gpu", ROOT / ".devcontainer" / "Containerfile"]


@pytest.mark.slow
@pytest.mark.parametrize("path", IMAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_linter_has_no_complaint(path: Path) -> None:
    assert tools.run("hadolint", "--no-color", path) == ""


@pytest.mark.parametrize("path", IMAGES[:2], ids=lambda path: path.name)
def test_images_have_a_user_a_health_check_and_no_shell_form(path: Path) -> None:
    lines = path.read_text(encoding="utf-8")

    assert re.search(r"^USER 10001:10001$", lines, re.MULTILINE)
    assert "/health/live" in lines
    assert re.search(r'^ENTRYPOINT \["cxr-node"\]$', lines, re.MULTILINE)
    assert re.search(r'^CMD \["run"\]$', lines, re.MULTILINE)


@pytest.mark.slow
def test_the_compose_file_is_valid() -> None:
    tools.run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", FOLDER / "compose.yaml")


def test_the_compose_file_mounts_files_that_exist() -> None:
    compose = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    mounted = [
        volume.split(":")[0] for service in compose["services"].values() for volume in service.get("volumes", [])
    ]

    assert [path for path in mounted if path.startswith(".") and not (FOLDER / path).exists()] == []
    assert {path for path in mounted if not path.startswith(".")} <= set(compose["volumes"])
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []
    assert compose["services"]["node"]["read_only"] is True


def test_the_settings_of_compose_fit_each_other() -> None:
    tables = tomllib.loads((FOLDER / "cxr-node.toml").read_text(encoding="utf-8"))
    del tables["database"]["password_file"]
    settings = config.parse(tables)
    orthanc = json.loads((FOLDER / "orthanc.json").read_text(encoding="utf-8"))
    prometheus = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))

    (destination,) = tables["deliver"]["destinations"]
    assert (destination["port"], destination["ae_title"]) == (orthanc["DicomPort"], orthanc["DicomAet"])
    assert prometheus["scrape_configs"][0]["static_configs"][0]["targets"] == [f"node:{settings.web.port}"]
    assert "proxy_pass http://orthanc:8042;" in (FOLDER / "ohif.nginx.conf").read_text(encoding="utf-8")


@cache
def rendered(*, with_readers: bool) -> list[dict[str, Any]]:
    """Return the resources of the chart, with all roles in one pod or with readers beside it."""
    values: dict[str, Any] = {"settings": '[[deliver.destinations]]\nkind = "folder"\nname = "x"\nfolder = "out"\n'}
    if with_readers:
        values |= {
            "database": {"url": "postgresql://cxr@db/cxr", "passwordSecret": "database"},
            "archive": {"bucket": "films", "credentialsSecret": "bucket"},
            "readers": {"enabled": True, "gpu": 1},
            "dicomService": {"type": "LoadBalancer"},
        }
    output = tools.run("python", ROOT / "deploy" / "scripts" / "render_chart.py", CHART, json.dumps(values))
    return [resource for resource in yaml.safe_load_all(output) if resource]


@pytest.mark.slow
@pytest.mark.parametrize("with_readers", [False, True])
def test_the_chart_is_rendered_to_valid_resources(with_readers: bool, tmp_path: Path) -> None:
    resources = rendered(with_readers=with_readers)

    path = tmp_path / "resources.yaml"
    known = [resource for resource in resources if "keda.sh" not in resource["apiVersion"]]
    path.write_text(yaml.safe_dump_all(known), encoding="utf-8")
    tools.run("kubernetes-validate", "--strict", path)
    kinds = {resource["kind"] for resource in resources}
    assert kinds == {"ConfigMap", "Service", "StatefulSet"} | (
        {"Deployment", "ScaledObject", "TriggerAuthentication"} if with_readers else set()
    )


@pytest.mark.slow
@pytest.mark.parametrize("with_readers", [False, True])
def test_pods_of_the_chart_are_confined_and_their_settings_valid(with_readers: bool) -> None:
    resources = rendered(with_readers=with_readers)

    for resource in resources:
        if resource["kind"] in ("StatefulSet", "Deployment"):
            pod = resource["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["image"].endswith(f":{VERSION}")
        if resource["kind"] == "ConfigMap":
            settings = config.parse(tomllib.loads(resource["data"]["cxr-node.toml"]))
            assert settings.archive.bucket == ("films" if with_readers else "")
            assert len(settings.deliver.destinations) == 1


def test_the_chart_has_the_version_of_the_program() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))

    assert chart["appVersion"] == VERSION


def test_the_query_of_the_autoscaler_runs_on_the_view(database: Database) -> None:
    template = (CHART / "templates" / "readers.yaml").read_text(encoding="utf-8")
    (query,) = re.findall(r'query: "(.+)"', template)

    with database.read() as connection:
        assert connection.execute(text(query)).scalar_one() == 0
