"""Users and sessions of the page in memory."""

from dataclasses import dataclass, field

from cxr_node.records.api_tokens import ApiToken
from cxr_node.records.web_users import WebUser
from cxr_node.web.accounts import OpenSession


@dataclass(slots=True)
class MemoryAccounts:
    """Accounts without a database; sessions do not expire."""

    users: dict[str, WebUser] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)

    def user(self, name: str) -> WebUser | None:
        """Return the user of this name."""
        return self.users.get(name)

    def has_users(self) -> bool:
        """Whether there are users."""
        return bool(self.users)

    def start_session(self, token: str, *, user_name: str, address: str, lifetime_s: float) -> None:  # noqa: ARG002
        """Record a session."""
        self.sessions[token] = user_name

    def session(self, token: str) -> OpenSession | None:
        """Return the session of a token."""
        return OpenSession(user=self.users.get(self.sessions[token])) if token in self.sessions else None

    def end_session(self, token: str) -> None:
        """End the session of a token."""
        self.sessions.pop(token, None)

    def api_token(self, secret: str) -> ApiToken | None:  # noqa: ARG002
        """Return none."""
        return None

    def note_use(self, token: ApiToken) -> bool:  # noqa: ARG002
        """Record nothing."""
        return False
