"""Web page of a demo that is left running: an account for this run, and the wait for its end."""

import secrets
from dataclasses import dataclass

from cxr_node.cli.terminal import CommandError, out
from cxr_node.domain.password_hash import PasswordHash
from cxr_node.simulators.program import Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Account for the page of one demo."""

    name: str
    password: str

    @property
    def settings(self) -> str:
        """Settings of the page: any free port, and this account."""
        hashed = PasswordHash.from_password(self.password, salt=secrets.token_bytes(16))
        return f"""\
[web]
port = 0
[[web.users]]
name = "{self.name}"
password_hash = "{hashed}"
role = "operator"
sees_films = true
"""


def new_account() -> Account:
    """Return an account with a random password."""
    return Account(name="demo", password=secrets.token_urlsafe(9))


def stay(node: Program, account: Account) -> None:
    """Show how to log in, and return at Ctrl+C.

    Raises
    ------
    CommandError
        If the node ends by itself.
    """
    out.print(f"The node runs until Ctrl+C. Its page: http://{node.addresses['admin']}/studies", soft_wrap=True)
    out.print(f"Name {account.name}, password {account.password}", markup=False)
    try:
        node.process.wait()
    except KeyboardInterrupt:
        out.print("Stopping ...")
        return
    raise CommandError(node.state())
