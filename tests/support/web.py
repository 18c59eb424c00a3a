"""Web server of a node in this process, and logged-in clients."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from types import MappingProxyType

import httpx

from cxr_node.config import read
from cxr_node.db import migrate
from cxr_node.deliver.destination import DeliveryRejected
from cxr_node.domain.clock import utc_now
from cxr_node.domain.password_hash import PasswordHash
from cxr_node.report.kinds import tid1500
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.web import server
from cxr_node.wiring.process import Process
from tests.support import films
from tests.support.node import InProcessNode, StubNetwork
from tests.support.running_node import opened, settings_file

WAIT_S = 200.0
"""Upper bound for a busy machine, on which the first picture may wait for the start of a process."""
PASSWORD = "correct horse battery staple"  # noqa: S105  # of nobody
_HASH = PasswordHash.from_password(PASSWORD, salt=bytes(16), cost=16)


def users(*people: tuple[str, str, bool]) -> str:
    """Return the settings of users: name, role, film access."""
    return "\n".join(
        f'[[web.users]]\nname = "{name}"\npassword_hash = "{_HASH}"\nrole = "{role}"\nsees_films = {str(sees).lower()}'
        for name, role, sees in people
    )


CLERK = users(("clerk", "viewer", True)) + "\nsees_identifiers = true\n"
"""A user who sees identifiers."""
PEOPLE = users(("op", "operator", True), ("reader", "viewer", True), ("admin", "viewer", False)) + "\n" + CLERK


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Address and settings of a web server, and its node."""

    address: str
    config: Path
    node: InProcessNode

    @contextmanager
    def visited_by(self, name: str = "") -> Iterator[httpx.Client]:
        """Return a client, logged in if a name is given."""
        with httpx.Client(base_url=f"http://{self.address}", timeout=WAIT_S) as client:
            if name:
                response = client.post("/login", data={"name": name, "password": PASSWORD})
                assert response.status_code == 303, response.text
            yield client


def token_of(client: httpx.Client) -> str:
    """Return the CSRF token of the session's pages."""
    match = re.search(r'name="token" value="([^"]+)"', client.get("/").text)
    assert match is not None
    return match[1]


def submit(
    client: httpx.Client, text: str, button: str, changes: Mapping[str, str] = MappingProxyType({})
) -> httpx.Response:
    """Send the form of a page whose button has these words, as a browser does; follow where it leads."""
    forms = re.findall(r'<form method="post" action="([^"]+)">(.*?)</form>', text, re.DOTALL)
    ((action, inner),) = [form for form in forms if f">{button}</button>" in form[1]]
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', inner))
    data = {**{name: unescape(value) for name, value in fields.items()}, **changes}
    return client.post(unescape(action), data=data, follow_redirects=True)


@contextmanager
def served_page(
    folder: Path,
    *,
    database_url: str = "",
    more: str = "",
    kinds: Sequence[ResultKind] = (tid1500.REPORT,),
    reader: StubNetwork | None = None,
) -> Iterator[Page]:
    """Serve the pages of a node with a delivered study, a lateral film, a dead letter and a waiting film."""
    config = settings_file(folder, database_url=database_url, more=f"[web]\nport = 0\n{more or PEOPLE}")
    loaded = read(config)
    settings = loaded.settings
    settings.node.data_folder.mkdir(parents=True, exist_ok=True)
    with opened(settings) as database:
        migrate.upgrade(database)
        node = InProcessNode(database, settings.node.data_folder, kinds=kinds, reader=reader)
        node.clock.now = utc_now()
        node.accept(films.dx())
        node.work()
        node.accept(films.dx(seed=1, changes={"ViewPosition": "LL"}))
        node.work()
        node.pacs.before_send = reject
        node.accept(films.dx(seed=2))
        node.work()
        node.accept(films.dx(seed=3))
        with Process.open(settings, is_audited=True, loaded=loaded) as process, server.serve(process) as address:
            yield Page(address=address, config=config, node=node)


def reject() -> None:
    """Reject a delivery, as a full PACS would."""
    raise DeliveryRejected("0xA700, out of resources")
