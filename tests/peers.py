"""Real peers, called by absolute path: the pynetdicom wheel installs scripts of the same names as DCMTK's."""

import os
from pathlib import Path

import pytest

PACKAGES = {
    "storescu": "dcmtk",
    "echoscu": "dcmtk",
    "storescp": "dcmtk",
    "dsrdump": "dcmtk",
    "dcmdump": "dcmtk",
    "dcm2pnm": "dcmtk",
    "dcmcjpeg": "dcmtk",
    "dcmdjpeg": "dcmtk",
    "dcmcjpls": "dcmtk",
    "dcmcrle": "dcmtk",
    "dcmpschk": "dcmtk",
    "dcmconv": "dcmtk",
    "dciodvfy": "dicom3tools",
    "dcentvfy": "dicom3tools",
    "gdcmconv": "libgdcm-tools",
    "Orthanc": "orthanc",
    "java": "default-jre-headless",
}
"""Program to the Debian package that holds it."""

_FOLDERS = (Path("/usr/bin"), Path("/usr/sbin"))
PIXELMED_JAR = Path("/usr/share/java/pixelmed.jar")


def program(name: str) -> Path:
    """Return the absolute path of the peer `name`; skip the test where it is missing, fail it under CI=true."""
    for folder in _FOLDERS:
        if (folder / name).is_file():
            return folder / name
    return _missing(name, PACKAGES[name])


def pixelmed_jar() -> Path:
    """Return the path of PixelMed's jar; skip where it is missing, fail under CI=true."""
    return PIXELMED_JAR if PIXELMED_JAR.is_file() else _missing("PixelMed", "libpixelmed-java")


def _missing(name: str, package: str) -> Path:
    sentence = f"{name} is not installed (Debian package {package})"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)
