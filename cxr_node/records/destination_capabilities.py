"""What destinations were found to take: the last answer of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from cxr_node.db.database import Transaction
from cxr_node.db.tables import negotiation
from cxr_node.domain.identifiers import Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationCapabilities:
    """What the peer that stood behind a destination took, and when it was asked.

    `accepted` has the transfer syntaxes taken of each SOP Class asked for; none for one that is not taken.
    """

    destination: str
    peer: str
    accepted: Mapping[Uid, tuple[Uid, ...]]
    asked_at: datetime

    @property
    def taken(self) -> frozenset[Uid]:
        """The SOP Classes that it takes."""
        return frozenset(sop_class for sop_class, syntaxes in self.accepted.items() if syntaxes)


def keep(transaction: Transaction, said: DestinationCapabilities) -> None:
    """Keep what a destination takes, in place of what it took before."""
    transaction.connection.execute(delete(negotiation).where(negotiation.c.destination == said.destination))
    transaction.connection.execute(
        insert(negotiation).values(
            destination=said.destination,
            peer=said.peer,
            accepted={sop_class: list(syntaxes) for sop_class, syntaxes in said.accepted.items()},
            asked_at=said.asked_at,
        )
    )


def latest(connection: Connection) -> dict[str, DestinationCapabilities]:
    """Return what each destination that was asked takes, by its name."""
    rows = connection.execute(select(negotiation)).mappings()
    return {
        row["destination"]: DestinationCapabilities(
            destination=row["destination"],
            peer=row["peer"],
            accepted={Uid(key): tuple(Uid(each) for each in value) for key, value in row["accepted"].items()},
            asked_at=row["asked_at"],
        )
        for row in rows
    }
