"""OpenID Provider over HTTP in a child process, with responses that a test can override."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from tests.support.films import ROOT
from tests.support.peers import LOOPBACK

CLAIMS: dict[str, dict[str, object]] = {
    "kim": {"preferred_username": "kim", "realm_access": {"roles": ["cxr-operator", "radiology"]}},
    "sam": {"preferred_username": "sam", "realm_access": {"roles": ["cxr-viewer"]}},
    "eve": {"preferred_username": "eve", "realm_access": {"roles": ["other"]}},
}
"""Claims by person: an operator with film access, a viewer without, and a person without a role."""


def settings_of(issuer: str, redirect_url: str) -> str:
    """Return the settings of a node with this provider."""
    return (
        f'[oidc]\nissuer = "{issuer}"\nclient_id = "cxr-node"\nclient_secret = "of the tests"\n'
        f'redirect_url = "{redirect_url}"\nlabel = "the hospital"\n'
        'viewers = ["cxr-viewer"]\noperators = ["cxr-operator"]\nsee_films = ["radiology"]\n'
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A running provider."""

    issuer: str

    def override(self, changes: Mapping[str, Mapping[str, object]]) -> None:
        """Change JSON responses by path; an empty mapping restores them."""
        httpx.put(f"{self.issuer}/changes", json=changes).raise_for_status()

    def last_token(self) -> str:
        """Return the last ID Token issued."""
        return httpx.get(f"{self.issuer}/last").text


@contextmanager
def provider(people: Mapping[str, Mapping[str, object]], *, tokens_live_s: float = 3600) -> Iterator[Provider]:
    """Run a provider with the claims of each person."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", ROOT / "tests" / "support" / "oidc_provider_program.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"people": people, "tokens_live_s": tokens_live_s}) + "\n")
        process.stdin.flush()
        port = process.stdout.readline().strip()
        try:
            yield Provider(issuer=f"http://{LOOPBACK}:{port}")
        finally:
            process.kill()
