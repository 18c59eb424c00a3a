"""The page on reliability names tests and fault groups that exist, and no attack is without one."""

import re

from cxr_node.faults.suite import GROUPS
from tests.support.films import ROOT

PAGE = (ROOT / "docs" / "explanation" / "reliability.md").read_text(encoding="utf-8")
ATTACKS = re.findall(r"^\| (\d+) \| .*$", PAGE.partition("## Attacks")[2].partition("\n## ")[0], re.MULTILINE)
KINDS_OF_ATTACK = 14


def _sum(row: str) -> int:
    """Return the sum of the numbers of a row of the table of faults at random."""
    cells = PAGE.partition("### An hour of faults at random")[2].partition(f"| {row} |")[2].partition("\n")[0]
    return sum(int(cell.replace(",", "")) for cell in cells.strip(" |").split("|"))


def test_the_readme_has_the_sums_of_the_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    faults, _, films = PAGE.partition("| all | | ")[2].partition(" | ")

    assert f"{faults} faults injected" in readme
    assert f"of {films.partition(' ')[0]} films with Success none lost" in readme
    assert f"{_sum('faults'):,} faults and {_sum('films with Success, all confirmed'):,} films" in readme


def test_every_test_on_the_page_exists() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"^def (test_\w+)\(", sources, flags=re.MULTILINE))

    assert set(re.findall(r"`(test_\w+)`", PAGE)) <= defined


def test_every_fault_group_on_the_page_exists() -> None:
    named = {group for groups in re.findall(r"groups? ((?:`[\w-]+`(?:, | and )?)+)", PAGE) for group in _names(groups)}

    assert len(named) > 5
    assert named <= GROUPS.keys()


def test_every_fault_group_is_explained() -> None:
    rows = set(re.findall(r"^\| `([\w-]+)` \|", PAGE.partition("| group | faults |")[2], re.MULTILINE))

    assert GROUPS.keys() <= rows


def test_every_attack_names_a_test_or_a_fault_group() -> None:
    rows = [line for line in PAGE.splitlines() if re.match(r"\| \d+ \|", line)]

    assert sorted({int(number) for number in ATTACKS}) == list(range(1, KINDS_OF_ATTACK + 1))
    assert [row for row in rows if "`test_" not in row and "group `" not in row] == []


def _names(groups: str) -> list[str]:
    return re.findall(r"`([\w-]+)`", groups)
