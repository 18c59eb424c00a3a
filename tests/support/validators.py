"""Outside validators of DICOM objects: dicom3tools, DCMTK and PixelMed, each asked for errors alone."""

import re
import subprocess
from pathlib import Path

from tests.support import peers

NEWER_THAN_PIXELMED = (
    'Code (816094009,SCT,"Chest") not found in context group 4031',
    'TEXT (122405,DCM,"Algorithm Manufacturer"): Content Item not in template',
    'CODE (121052,DCM,"Presence of property"): Content Item not in template',
    'CODE (130400,DCM,"Geometric purpose of region"): Content Item not in template',
    'CODE (111031,DCM,"Image View"): Content Item not in template',
    'CODE (111050,DCM,"Quality Assessment"): Content Item not in template',
    'CODE (NOTE,99CXRNODE,"Processing note"): Content Item not in template',
    'CODE (NOTPROC,99CXRNODE,"Reason not processed"): Content Item not in template',
    'TEXT (121106,DCM,"Comment"): Content Item not in template',
    'SCOORD (260753009,SCT,"Source"): Content Item not in template',
)
"""What PixelMed's rules of 2022 say against every report: codes and rows of later editions of PS3.16, and the
qualitative evaluations that TID 1501 admits by any concept. With exactly one Image Region it takes every group
for TID 1410; so a report that it checks has none or several."""

_OURS = re.compile(r"/CODE \(\w+,99CXRNODE,.*: Content Item not in template$")
_PIXELMED_S = 600.0


def run(*command: str | Path, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a validator. What it says quotes names in any character set."""
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False, timeout=timeout_s
    )


def iod_errors(path: Path) -> list[str]:
    """Return what dciodvfy has against the modules of an object of any kind."""
    checked = run(peers.program("dciodvfy"), path)
    return [line for line in (checked.stdout + checked.stderr).splitlines() if line.startswith("Error")]


def sr_errors(path: Path) -> list[str]:
    """Return what dsrdump has against the content tree of a document."""
    checked = run(peers.program("dsrdump"), path)
    errors = [line for line in checked.stderr.splitlines() if line.startswith(("E:", "F:"))]
    return errors if errors or checked.returncode == 0 else [f"exit status {checked.returncode}"]


def state_errors(path: Path) -> list[str]:
    """Return what dcmpschk has against a presentation state."""
    checked = run(peers.program("dcmpschk"), path)
    said = checked.stdout + checked.stderr
    return [] if checked.returncode == 0 and "Test passed" in said else said.splitlines()


def entity_errors(*paths: Path) -> list[str]:
    """Return in what dcentvfy finds objects of one study to disagree about patient, study, series and equipment."""
    checked = run(peers.program("dcentvfy"), *paths)
    errors = [line for line in (checked.stdout + checked.stderr).splitlines() if "Error" in line]
    return errors if errors or checked.returncode == 0 else [f"exit status {checked.returncode}"]


def pixelmed(path: Path) -> str:
    """Return all that PixelMed's DicomSRValidator says of a document."""
    jar = peers.pixelmed_jar()
    unlimited = [f"-Djdk.xml.{limit}=0" for limit in ("xpathExprGrpLimit", "xpathExprOpLimit", "xpathTotalOpLimit")]
    # A report with all that is measured on a film keeps it busy for 43 s of processor time.
    validator = "com.pixelmed.validate.DicomSRValidator"
    checked = run(peers.program("java"), *unlimited, "-cp", jar, validator, path, timeout_s=_PIXELMED_S)
    assert "IOD validation complete" in checked.stdout + checked.stderr
    return checked.stdout + checked.stderr


def template_errors(path: Path) -> list[str]:
    """Return what PixelMed has against the rows of a TID 1500 report, but for what is newer than its rules."""
    said = pixelmed(path)
    assert "Found Root Template TID_1500" in said
    complaints = [line for line in said.splitlines() if line.startswith(("Error", "Warning"))]
    return [line for line in complaints if not line.endswith(NEWER_THAN_PIXELMED) and not _is_ours(line)]


def _is_ours(complaint: str) -> bool:
    """Whether it is a warning of a row by a concept of our own, or below one: TID 1501 takes rows by any concept."""
    return complaint.startswith("Warning") and _OURS.search(complaint) is not None
