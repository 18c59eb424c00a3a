"""What `make release` demands of the changelog."""

import pytest

from deploy.scripts import release
from tests.support.films import ROOT

CHANGELOG = """\
# Changelog

## Unreleased

## 0.2.0 - 2026-11-30

### Upgrade notes

- Nothing to do.

## 0.1.0 - 2026-01-01

- First.
"""


def test_a_dated_section_with_upgrade_notes_can_be_released() -> None:
    assert release.faults("0.2.0", CHANGELOG) == []
    assert release.section(CHANGELOG, "0.2.0") == "### Upgrade notes\n\n- Nothing to do."


@pytest.mark.parametrize(
    ("version", "changed", "fault"),
    [
        ("0.3.0", CHANGELOG, "has no section `## 0.3.0"),
        ("0.1.0", CHANGELOG, "has no `### Upgrade notes`"),
        ("0.2.0", CHANGELOG.replace("## Unreleased\n", "## Unreleased\n\n- A change.\n"), "move them to 0.2.0"),
    ],
)
def test_what_is_missing_is_named(version: str, changed: str, fault: str) -> None:
    assert any(fault in sentence for sentence in release.faults(version, changed))


def test_the_changelog_has_the_sections_that_a_release_reads() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert "\n## Unreleased\n" in text


def test_entries_of_unreleased_become_those_of_the_version() -> None:
    news = "## Unreleased\n\n### Upgrade notes\n\n- Look.\n\n### Fixed\n\n- A fault.\n"
    changelog = release.moved("0.2.0", "2026-12-01", CHANGELOG.replace("## Unreleased\n", news))

    assert release.faults("0.2.0", changelog) == []
    assert (
        release.section(changelog, "0.2.0")
        == "### Upgrade notes\n\n- Look.\n- Nothing to do.\n\n### Fixed\n\n- A fault."
    )
    assert release.section(changelog, "0.1.0") == "- First."
    assert release.moved("0.3.0", "2027-01-01", CHANGELOG).count("## ") == CHANGELOG.count("## ") + 1
