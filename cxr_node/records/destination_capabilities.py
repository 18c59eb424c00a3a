"""What destinations were found to take: the last answer of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from cxr_node.db.database import Transaction
from cxr_node.db.tables import destination_capabilities
from cxr_node.domain.identifiers import Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationCapabilities:
    """What the peer that stood behind a destination took, and when it was asked.

    `accepted` has the transfer syntaxes taken of each SOP Class asked for; none for one that is not taken.
    """

    destination: str
    peer: str
    accepted: Mapping[Uid, tuple[Uid, ...]]
    negotiated_at: datetime

    @property
    def accepted_sop_classes(self) -> frozenset[Uid]:
        """The SOP Classes that it takes."""
        return frozenset(sop_class for sop_class, syntaxes in self.accepted.items() if syntaxes)


def store(transaction: Transaction, said: DestinationCapabilities) -> None:
    """Keep what a destination takes, in place of what it took before."""
    transaction.connection.execute(
        delete(destination_capabilities).where(destination_capabilities.c.destination == said.destination)
    )
    transaction.connection.execute(
        insert(destination_capabilities).values(
            destination=said.destination,
            peer=said.peer,
            accepted={sop_class: list(syntaxes) for sop_class, syntaxes in said.accepted.items()},
            negotiated_at=said.negotiated_at,
        )
    )


def latest(connection: Connection) -> dict[str, DestinationCapabilities]:
    """Return what each destination that was asked takes, by its name."""
    rows = connection.execute(select(destination_capabilities)).mappings()
    return {
        row["destination"]: DestinationCapabilities(
            destination=row["destination"],
            peer=row["peer"],
            accepted={Uid(key): tuple(Uid(each) for each in value) for key, value in row["accepted"].items()},
            negotiated_at=row["negotiated_at"],
        )
        for row in rows
    }
