"""Activated bundle of all readers, and whether each host uses it or has rejected it."""

from dataclasses import asdict, dataclass, fields
from datetime import datetime

from sqlalchemy import Connection, RowMapping, delete, insert, select

from cxr_node.db.database import Transaction
from cxr_node.db.states import Stage
from cxr_node.db.tables import bundle_activation, bundle_use
from cxr_node.domain.identifiers import Digest, parse_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedBundle:
    """A bundle in the archive: a zip file under `archive_key` with SHA-256 `digest`."""

    name: str
    version: str
    digest: Digest
    archive_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleActivation:
    """An activation; without a bundle every host uses the bundle of its settings."""

    activation_id: int
    bundle: ArchivedBundle | None
    activated_by: str
    activated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleUse:
    """Whether a host uses the newest activation known to it, or has rejected it for the reason in `detail`."""

    host: str
    activation_id: int
    is_rejected: bool
    detail: str
    at: datetime


def activate(transaction: Transaction, bundle: ArchivedBundle | None, *, by: str, now: datetime) -> None:
    """Activate a bundle for all readers, or return them to their settings; idle readers are notified."""
    columns = {"name": bundle.name, "version": bundle.version} if bundle else {"name": "", "version": ""}
    file = {"digest": bundle.digest, "archive_key": bundle.archive_key} if bundle else {}
    transaction.connection.execute(
        insert(bundle_activation).values(activated_by=by, activated_at=now, **columns, **file)
    )
    transaction.notify.add(Stage.READ)


def newest(connection: Connection) -> BundleActivation | None:
    """Return the newest activation; None if there is none."""
    query = select(bundle_activation).order_by(bundle_activation.c.id.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    return BundleActivation(
        activation_id=row["id"],
        bundle=_archived_bundle(row),
        activated_by=row["activated_by"],
        activated_at=row["activated_at"],
    )


def activated_before(connection: Connection, name: str, version: str) -> list[ArchivedBundle]:
    """Return the bundles of this name and version that were ever activated, the newest first."""
    is_same = (
        bundle_activation.c.name == name,
        bundle_activation.c.version == version,
        bundle_activation.c.archive_key.is_not(None),
    )
    rows = connection.execute(
        select(bundle_activation).where(*is_same).order_by(bundle_activation.c.id.desc())
    ).mappings()
    return list(dict.fromkeys(bundle for row in rows if (bundle := _archived_bundle(row)) is not None))


def _archived_bundle(row: RowMapping) -> ArchivedBundle | None:
    if row["archive_key"] is None:
        return None
    digest = parse_digest(row["digest"])
    return ArchivedBundle(name=row["name"], version=row["version"], digest=digest, archive_key=row["archive_key"])


def write_use(transaction: Transaction, use: BundleUse) -> None:
    """Replace the use of a host."""
    transaction.connection.execute(delete(bundle_use).where(bundle_use.c.host == use.host))
    transaction.connection.execute(insert(bundle_use).values(asdict(use)))


def uses(connection: Connection) -> list[BundleUse]:
    """Return the uses of the newest activation; hosts that have not noticed it yet are missing."""
    last = select(bundle_activation.c.id).order_by(bundle_activation.c.id.desc()).limit(1).scalar_subquery()
    columns = (bundle_use.c[field.name] for field in fields(BundleUse))
    query = select(*columns).where(bundle_use.c.activation_id == last).order_by(bundle_use.c.host)
    return [BundleUse(**row) for row in connection.execute(query).mappings()]
