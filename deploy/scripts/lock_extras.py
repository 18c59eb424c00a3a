"""Pins by hash of the extras that packages and images contain: deploy/requirements-extras.txt, run by `make lock`.

    python3 deploy/scripts/lock_extras.py UV ARGUMENTS

What deploy/requirements-cpu.txt has is left out, so that both files can be installed together.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
EXTRAS = ("s3", "oidc", "otel")
BASE, FILE = (ROOT / "deploy" / f"requirements-{name}.txt" for name in ("cpu", "extras"))


def main() -> None:
    """Compile the requirements of the extras, and write those that the base does not have."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [line for extra in EXTRAS for line in project["optional-dependencies"][extra]]
    compiled = subprocess.run(
        [*sys.argv[1:], "-"], cwd=ROOT, input="\n".join(lines), check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    base = _names(BASE.read_text(encoding="ascii"))
    entries = re.split(r"(?<!\\)\n", compiled.strip())
    FILE.write_text("".join(f"{entry}\n" for entry in entries if not _names(entry) & base), encoding="ascii")


def _names(text: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE))


if __name__ == "__main__":
    main()
