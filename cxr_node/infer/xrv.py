"""Published classifiers of TorchXRayVision, from `xrv.toml`: names, labels, operating points, URLs and digests.

As stated by its release 1.5.7, Apache-2.0. It publishes no digests: those here are of the same files on its authors'
Hugging Face pages, and are omitted where neither these pages nor another independent record had the file.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Any

VERSION = "1.0.0"
"""Version of imported bundles: raised when the same file gets another preparation or other operating points."""

RELEASE = "https://github.com/mlmed/torchxrayvision/releases/download/v1/"


class Architecture(StrEnum):
    """Architecture of a weight file."""

    DENSENET121 = "DenseNet-121"
    RESNET50 = "ResNet-50"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One published weight file.

    `trained` has the trained outputs: label to the output's number and operating point, between 0 and 1. `sha256` is
    empty if unknown.
    """

    name: str
    file: str
    architecture: Architecture
    size: int
    trained: Mapping[str, tuple[int, float]]
    training: str
    sha256: str = ""

    @property
    def url(self) -> str:
        """URL of the file."""
        return RELEASE + self.file


def _published(labels: list[str], *, architecture: str, thresholds: Mapping[str, float], **values: Any) -> Published:
    trained = {label: (number, thresholds[label]) for number, label in enumerate(labels) if label in thresholds}
    if len(trained) != len(thresholds):
        raise ValueError(f"xrv.toml: {values['name']} has a threshold of an unknown label")
    return Published(architecture=Architecture(architecture), trained=trained, **values)


_FILE = tomllib.loads(files(__package__).joinpath("xrv.toml").read_text(encoding="utf-8"))
MODELS: Mapping[str, Published] = {model["name"]: _published(_FILE["labels"], **model) for model in _FILE["models"]}
OUTPUTS = len(_FILE["labels"])
