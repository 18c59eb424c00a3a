"""Rules for new passwords after NIST SP 800-63B: a minimum length, no guessable ones, no rules of composition."""

from itertools import pairwise

LONGEST_PASSWORD = 1024
_FEWEST_CHARACTERS = 5
"""Different characters of a password."""


def password_fault(password: str, *, user_name: str, minimum_characters: int) -> str:
    """Return why a password is refused, and what to do; empty if it is accepted.

    Section 3.1.1.2 of SP 800-63B-4. Length is counted in Unicode code points.
    """
    if len(password) < minimum_characters:
        return (
            f"the password has {len(password)} characters; at least {minimum_characters} are needed, as of a sentence"
        )
    if len(password) > LONGEST_PASSWORD:
        return f"the password has more than {LONGEST_PASSWORD} characters"
    if len(set(password.casefold())) < _FEWEST_CHARACTERS or _is_sequence(password):
        return "the password repeats few characters or counts them up; use several words"
    if user_name and len(password.casefold().replace(user_name.casefold(), "")) < minimum_characters / 2:
        return "the password is little more than the user name; use several words"
    return ""


def _is_sequence(password: str) -> bool:
    """Whether each character but a few is the next, or the one before, of its predecessor, as in 123456 or fedcba."""
    steps = [ord(second) - ord(first) for first, second in pairwise(password)]
    return max(steps.count(1), steps.count(-1)) > len(steps) * 3 / 4
