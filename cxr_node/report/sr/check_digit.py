"""Verhoeff check digit of SNOMED CT identifiers."""

# Multiplication table of the dihedral group D5, and Verhoeff's permutation.
_MULTIPLY = [
    "0123456789",
    "1234067895",
    "2340178956",
    "3401289567",
    "4012395678",
    "5987604321",
    "6598710432",
    "7659821043",
    "8765932104",
    "9876543210",
]
_PERMUTE = [
    "0123456789",
    "1576283094",
    "5803796142",
    "8916043527",
    "9453126870",
    "4286573901",
    "2793806415",
    "7046913258",
]


def has_valid_check_digit(sctid: str) -> bool:
    """Whether a SNOMED CT identifier ends in the Verhoeff digit of the digits before it.

    This excludes a mistyped number, not a wrong meaning.
    """
    check = 0
    for position, digit in enumerate(reversed(sctid)):
        check = int(_MULTIPLY[check][int(_PERMUTE[position % 8][int(digit)])])
    return check == 0
