"""API tokens: made and revoked by command and page; all of it audited."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from cxr_node.audit import events
from cxr_node.domain.permissions import Permissions
from cxr_node.ops import operator_log
from cxr_node.records import api_tokens
from cxr_node.records.api_tokens import ApiToken
from cxr_node.settings.operations import USER_NAME
from cxr_node.wiring.process import Process

LONGEST_DAYS = 3660
_PREFIX = "cxr_"
"""Scanners for leaked secrets recognise a token by it."""


class TokenProblem(Exception):
    """A token cannot be made or revoked; the sentence says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAdministration:
    """Changes of API tokens by one person, whom `by` names in log and audit trail."""

    process: Process
    by: str

    def tokens(self) -> Sequence[ApiToken]:
        """Return all tokens, the newest first; also those that have expired or were revoked."""
        with self.process.database.read() as connection:
            return api_tokens.every(connection)

    def add(self, name: str, permissions: Permissions, *, days: float) -> str:
        """Make a token that is valid for `days`, and return its secret, which is not stored.

        Raises
        ------
        TokenProblem
            If the name is not allowed or not new, or `days` is out of range.
        """
        if not re.fullmatch(USER_NAME, name):
            raise TokenProblem(f"{name!r} is no name of a token; expected 1 to 64 letters, digits, or any of . _ - @")
        if not 0 < days <= LONGEST_DAYS:
            raise TokenProblem(f"a token is valid for more than 0 and at most {LONGEST_DAYS} days, not {days:g}")
        if any(token.name == name for token in self.tokens()):
            raise TokenProblem(f"there is a token {name!r} already, perhaps a revoked one; choose another name")
        now, secret = self.process.clock(), _PREFIX + secrets.token_urlsafe(32)
        token = ApiToken(
            name=name,
            permissions=permissions,
            created_at=now,
            created_by=self.by,
            expires_at=now + timedelta(days=days),
        )
        with self.process.database.write() as transaction:
            api_tokens.add(transaction, token, secret)
        self._record(f"API token {name} made, valid until {token.expires_at:%Y-%m-%d}: {permissions}", name)
        return secret

    def token(self, name: str) -> ApiToken:
        """Return a token; raise TokenProblem if there is none of this name."""
        token = next((token for token in self.tokens() if token.name == name), None)
        if token is None:
            raise TokenProblem(f"there is no token {name!r}; `cxr-node token list` shows all")
        return token

    def revoke(self, name: str) -> None:
        """Revoke a token: from the next request on it is not accepted."""
        if self.token(name).revoked_at is not None:
            raise TokenProblem(f"token {name} was revoked before")
        with self.process.database.write() as transaction:
            api_tokens.revoke(transaction, name, now=self.process.clock())
        self._record(f"API token {name} revoked", name)

    def _record(self, what: str, name: str) -> None:
        kind = events.USER_SECURITY_ATTRIBUTES_CHANGED
        operator_log.record(self.process, what, subject=f"tokens/{name}", by=self.by, kind=kind)
