"""Last steps of `make release`: what must hold before the build, and notes and checksums after it. Publishes nothing.

python3 deploy/scripts/release.py changelog 2026-12-01   # entries of Unreleased become those of the version
python3 deploy/scripts/release.py check      # version, changelog, work tree
python3 deploy/scripts/release.py finish     # dist/notes-VERSION.md and dist/SHA256SUMS
"""

import hashlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DIST = ROOT / "dist"
KINDS = ("cxr_node-{}-py3-none-any.whl", "cxr_node-{}.tar.gz", "cxr-node-{}-offline-*.tar", "cxr-node_{}_*.deb")
HEADINGS = ("Upgrade notes", "Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
SBOM = "cxr-node-{}.cdx.json"


def main() -> None:
    """Run the step of the command line; end with a sentence and status 1 if something is missing."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    match sys.argv[1:]:
        case ["check"]:
            problems = faults(version, changelog)
            if status := _git("status", "--porcelain"):
                problems.append(f"the work tree has changes that are not committed:\n{status}")
            if problems:
                sys.exit("\n".join(problems))
            print(f"{version} can be released")
        case ["changelog", date]:
            (ROOT / "CHANGELOG.md").write_text(moved(version, date, changelog), encoding="utf-8")
        case ["finish"]:
            finish(version, changelog)
        case _:
            sys.exit(__doc__)


def faults(version: str, changelog: str) -> list[str]:
    """Return a sentence for each thing of the changelog that keeps a version from being released."""
    problems = []
    if not re.search(rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        problems.append(f"CHANGELOG.md has no section `## {version} - YYYY-MM-DD`")
    elif "### Upgrade notes" not in section(changelog, version):
        problems.append(f"the section of {version} has no `### Upgrade notes`")
    if section(changelog, "Unreleased"):
        problems.append(f"CHANGELOG.md has entries under Unreleased: move them to {version}")
    return problems


def section(changelog: str, version: str) -> str:
    """Return the text of a version's section without its heading; empty if there is none."""
    match = re.search(rf"^## {re.escape(version)}\b[^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    return match[1].strip() if match else ""


def moved(version: str, date: str, changelog: str) -> str:
    """Return the changelog with the entries of Unreleased before those of the section of a version, if there is one."""
    newer, older = _entries(section(changelog, "Unreleased")), _entries(section(changelog, version))
    merged = [
        f"### {name}\n\n" + "\n".join(entries[name] for entries in (newer, older) if name in entries)
        for name in HEADINGS
        if name in newer or name in older
    ]
    others = re.split(r"^(?=## )", changelog, flags=re.MULTILINE)
    unchanged = [part for part in others if not re.match(rf"## (Unreleased|{re.escape(version)})\b", part)]
    new = [f"## Unreleased\n\n## {version} - {date}\n\n" + "\n\n".join(merged) + "\n\n"]
    return "".join([unchanged[0], *new, *unchanged[1:]]).rstrip("\n") + "\n"


def _entries(text: str) -> dict[str, str]:
    """Return what a section has under each of its headings."""
    headed = re.findall(r"^### ([^\n]+)\n(.*?)(?=^### |\Z)", text, re.MULTILINE | re.DOTALL)
    if unknown := {name for name, _ in headed} - set(HEADINGS):
        sys.exit(f"CHANGELOG.md has the heading {min(unknown)}, which Keep a Changelog has not")
    return {name: entries.strip() for name, entries in headed}


def finish(version: str, changelog: str) -> None:
    """Write notes and checksums of the files in dist/, which must all be there."""
    files: list[Path] = []
    for pattern in (*KINDS, SBOM):
        matches = sorted(DIST.glob(pattern.format(version)))
        if not matches:
            sys.exit(f"dist/{pattern.format(version)} is missing")
        files += matches
    notes = DIST / f"notes-{version}.md"
    commit = _git("rev-parse", "HEAD")
    notes.write_text(f"# cxr-node {version}\n\nCommit {commit}.\n\n{section(changelog, version)}\n", encoding="utf-8")
    sums = [f"{_sha256(path)}  {path.name}\n" for path in [*files, notes]]
    (DIST / "SHA256SUMS").write_text("".join(sums), encoding="ascii")
    print("".join(sums), end="")
    print(f"Nothing was published, and no tag was set. To do both: git tag {version}; upload the files above.")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S607


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


if __name__ == "__main__":
    main()
