"""Presentation contexts that each destination accepted when last negotiated."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from cxr_node.db.database import Transaction
from cxr_node.db.tables import destination_capabilities
from cxr_node.domain.identifiers import Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationCapabilities:
    """Accepted presentation contexts of the peer of a destination.

    `accepted` has the accepted transfer syntaxes of each proposed SOP Class; an empty tuple if it was rejected.
    """

    destination: str
    peer: str
    accepted: Mapping[Uid, tuple[Uid, ...]]
    negotiated_at: datetime

    @property
    def accepted_sop_classes(self) -> frozenset[Uid]:
        """The SOP Classes with an accepted presentation context."""
        return frozenset(sop_class for sop_class, syntaxes in self.accepted.items() if syntaxes)


def store(transaction: Transaction, capabilities: DestinationCapabilities) -> None:
    """Replace the capabilities of a destination."""
    transaction.connection.execute(
        delete(destination_capabilities).where(destination_capabilities.c.destination == capabilities.destination)
    )
    transaction.connection.execute(
        insert(destination_capabilities).values(
            destination=capabilities.destination,
            peer=capabilities.peer,
            accepted={sop_class: list(syntaxes) for sop_class, syntaxes in capabilities.accepted.items()},
            negotiated_at=capabilities.negotiated_at,
        )
    )


def latest(connection: Connection) -> dict[str, DestinationCapabilities]:
    """Return the capabilities by name of the destination."""
    rows = connection.execute(_ALL).mappings()
    return {
        row["destination"]: DestinationCapabilities(
            destination=row["destination"],
            peer=row["peer"],
            accepted={Uid(key): tuple(Uid(syntax) for syntax in value) for key, value in row["accepted"].items()},
            negotiated_at=row["negotiated_at"],
        )
        for row in rows
    }


_ALL = select(destination_capabilities)
"""Built once: it runs for every study."""
