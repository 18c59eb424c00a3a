"""Activated bundle of all readers, and whether each host uses it or has rejected it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, delete, insert, select

from cxr_node.db.database import Transaction
from cxr_node.db.states import Stage
from cxr_node.db.tables import bundle_choice, bundle_use
from cxr_node.domain.identifiers import Digest, parse_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenBundle:
    """A bundle in the archive: a zip file under `archive_key` with SHA-256 `digest`."""

    name: str
    version: str
    digest: Digest
    archive_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An activation; without a bundle every host uses the bundle of its settings."""

    choice_id: int
    bundle: ChosenBundle | None
    chosen_by: str
    chosen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Whether a host uses the newest choice it knows of, or has rejected it for the reason in `detail`."""

    host: str
    choice_id: int
    is_refused: bool
    detail: str
    at: datetime


def choose(transaction: Transaction, bundle: ChosenBundle | None, *, by: str, now: datetime) -> None:
    """Activate a bundle for all readers, or return them to their settings; idle readers are notified."""
    columns = {"name": bundle.name, "version": bundle.version} if bundle else {"name": "", "version": ""}
    file = {"digest": bundle.digest, "archive_key": bundle.archive_key} if bundle else {}
    transaction.connection.execute(insert(bundle_choice).values(chosen_by=by, chosen_at=now, **columns, **file))
    transaction.notify.add(Stage.READ)


def newest(connection: Connection) -> Choice | None:
    """Return the newest choice; None if there is none."""
    row = connection.execute(select(bundle_choice).order_by(bundle_choice.c.id.desc()).limit(1)).mappings().first()
    if row is None:
        return None
    return Choice(choice_id=row["id"], bundle=_chosen(row), chosen_by=row["chosen_by"], chosen_at=row["chosen_at"])


def chosen_before(connection: Connection, name: str, version: str) -> list[ChosenBundle]:
    """Return the bundles of this name and version that were ever activated, the newest first."""
    is_same = bundle_choice.c.name == name, bundle_choice.c.version == version, bundle_choice.c.archive_key.is_not(None)
    rows = connection.execute(select(bundle_choice).where(*is_same).order_by(bundle_choice.c.id.desc())).mappings()
    return list(dict.fromkeys(chosen for row in rows if (chosen := _chosen(row)) is not None))


def _chosen(row: RowMapping) -> ChosenBundle | None:
    if row["archive_key"] is None:
        return None
    digest = parse_digest(row["digest"])
    return ChosenBundle(name=row["name"], version=row["version"], digest=digest, archive_key=row["archive_key"])


def write_use(transaction: Transaction, use: Use) -> None:
    """Replace the use of a host."""
    transaction.connection.execute(delete(bundle_use).where(bundle_use.c.host == use.host))
    transaction.connection.execute(
        insert(bundle_use).values(
            host=use.host, choice_id=use.choice_id, is_refused=use.is_refused, detail=use.detail, at=use.at
        )
    )


def uses(connection: Connection) -> list[Use]:
    """Return the uses of the newest choice; hosts that do not know of it yet are missing."""
    last = select(bundle_choice.c.id).order_by(bundle_choice.c.id.desc()).limit(1).scalar_subquery()
    query = select(bundle_use).where(bundle_use.c.choice_id == last).order_by(bundle_use.c.host)
    return [
        Use(
            host=row["host"],
            choice_id=row["choice_id"],
            is_refused=row["is_refused"],
            detail=row["detail"],
            at=row["at"],
        )
        for row in connection.execute(query).mappings()
    ]
