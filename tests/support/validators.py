"""Outside validators of DICOM objects: dicom3tools, DCMTK and PixelMed; errors only."""

import re
import subprocess
from pathlib import Path

from tests.support import peers

NEWER_THAN_PIXELMED = (
    'Code (816094009,SCT,"Chest") not found in context group 4031',
    'Code (399208008,SCT,"Plain chest X-ray") not found in context group 100',
    'TEXT (121111,DCM,"Summary"): Content Item not in template',
    'CODE (121052,DCM,"Presence of property"): Content Item not in template',
    'CODE (111050,DCM,"Quality Assessment"): Content Item not in template',
    'CODE (NOTE,99CXRNODE,"Processing note"): Content Item not in template',
    'CODE (NOTPROC,99CXRNODE,"Reason not processed"): Content Item not in template',
    'TEXT (121106,DCM,"Comment"): Content Item not in template',
    'SCOORD (260753009,SCT,"Source"): Content Item not in template',
    'SCOORD (111030,DCM,"Image Region"): Content Item not in template',
)
"""Messages of PixelMed's rules of 2022 on every report: codes and rows of later editions of PS3.16, and the
qualitative evaluations that TID 1501 admits by any concept. With exactly one Image Region PixelMed takes every group
for TID 1410, so a report that it checks has none or several."""

_REFERENCE = re.compile(r"/(IMAGE|COMPOSITE) \((121080|SEG|KO|PR|SR|DOC),DCM,[^/]*: Content Item not in template$")
"""References of the report to the other results of its run, which extend TID 1500."""

_PRIVATE_ROW = re.compile(r"/CODE \(\w+,99CXRNODE,.*: Content Item not in template$")
_ROOT_TEMPLATES = {
    "Comprehensive3DSR": "TID_1500",
    "ComprehensiveSR": "TID_1500",
    "EnhancedSR": "TID_1500",
    "KeyObjectSelectionDocument": "TID_2010",
    "BasicTextSR": "TID_2000",
    "ChestCADSR": "",
}
"""IOD, as PixelMed names it, to the root template that it finds."""
_WITHOUT_ROWS = ("BasicTextSR", "ChestCADSR")
_PIXELMED_S = 600.0


def run(*command: str | Path, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a validator. Its output quotes names in any character set."""
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False, timeout=timeout_s
    )


def iod_errors(path: Path) -> list[str]:
    """Return dciodvfy's errors on the modules of an object."""
    checked = run(peers.program("dciodvfy"), path)
    return [line for line in (checked.stdout + checked.stderr).splitlines() if line.startswith("Error")]


def sr_errors(path: Path) -> list[str]:
    """Return dsrdump's errors on the content tree of a document."""
    checked = run(peers.program("dsrdump"), path)
    errors = [line for line in checked.stderr.splitlines() if line.startswith(("E:", "F:"))]
    return errors if errors or checked.returncode == 0 else [f"exit status {checked.returncode}"]


def state_errors(path: Path) -> list[str]:
    """Return dcmpschk's errors on a presentation state."""
    checked = run(peers.program("dcmpschk"), path)
    output = checked.stdout + checked.stderr
    return [] if checked.returncode == 0 and "Test passed" in output else output.splitlines()


def entity_errors(*paths: Path) -> list[str]:
    """Return dcentvfy's disagreements of objects of one study about patient, study, series and equipment."""
    checked = run(peers.program("dcentvfy"), *paths)
    errors = [line for line in (checked.stdout + checked.stderr).splitlines() if "Error" in line]
    return errors if errors or checked.returncode == 0 else [f"exit status {checked.returncode}"]


def pixelmed(path: Path) -> str:
    """Return the output of PixelMed's DicomSRValidator on a document."""
    jar = peers.pixelmed_jar()
    unlimited = [f"-Djdk.xml.{limit}=0" for limit in ("xpathExprGrpLimit", "xpathExprOpLimit", "xpathTotalOpLimit")]
    # A report with all measurements of a film takes it 43 s of processor time.
    validator = "com.pixelmed.validate.DicomSRValidator"
    # The second compiler takes more time than it saves in a run of seconds.
    options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *unlimited]
    checked = run(peers.program("java"), *options, "-cp", jar, validator, path, timeout_s=_PIXELMED_S)
    assert "IOD validation complete" in checked.stdout + checked.stderr
    return checked.stdout + checked.stderr


def template_errors(path: Path) -> list[str]:
    """Return PixelMed's errors and warnings on the rows of a document, except for rows newer than its rules.

    It has no rules for Chest CAD (TID 4100), and knows the titles of a Basic Text SR under their former codes: of these
    two it can only judge value types, relationships and modules.
    """
    output = pixelmed(path)
    iod = next(iod for iod in _ROOT_TEMPLATES if f"Found {iod} IOD" in output)
    assert not _ROOT_TEMPLATES[iod] or f"Found Root Template {_ROOT_TEMPLATES[iod]}" in output
    levels = ("Error",) if iod in _WITHOUT_ROWS else ("Error", "Warning")
    messages = [line for line in output.splitlines() if line.startswith(levels)]
    return [line for line in messages if not line.endswith(NEWER_THAN_PIXELMED) and not _is_extension(line)]


def _is_extension(message: str) -> bool:
    """Whether it warns of a row that the extensible templates permit: a reference, or one with a private concept."""
    patterns = (_PRIVATE_ROW, _REFERENCE)
    return message.startswith("Warning") and any(pattern.search(message) for pattern in patterns)
