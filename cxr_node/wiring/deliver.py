"""Delivery wired from settings: destinations, their verification, retry rule, and Storage Commitment SCUs."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from cxr_node.db.states import Stage
from cxr_node.deliver.cstore import CStoreDestination
from cxr_node.deliver.destination import Destination, VerificationRule
from cxr_node.deliver.held_associations import HeldAssociations
from cxr_node.deliver.peer import Peer
from cxr_node.domain.identifiers import parse_ae_title
from cxr_node.queue.retry import RULES, RetryRule
from cxr_node.settings.root import Settings
from cxr_node.wiring import audit_decorators
from cxr_node.wiring.commitment_limits import commitment_limits
from cxr_node.wiring.process import Process
from cxr_node.work.handlers.commitment import CommitmentHandler
from cxr_node.work.handlers.deliver import DeliverHandler


def open_destinations(settings: Settings, associations: HeldAssociations | None = None) -> dict[str, Destination]:
    """Return the configured destinations by name; C-STORE ones hold `associations` from object to object."""
    calling_ae_title = parse_ae_title(settings.receive.ae_title)
    opened = {row.name: row.open(calling_ae_title=calling_ae_title) for row in settings.deliver.destinations}
    return {
        name: replace(to, associations=associations) if isinstance(to, CStoreDestination) else to
        for name, to in opened.items()
    }


def verification(settings: Settings) -> dict[str, VerificationRule]:
    """Return the verification rules of destinations that have one, by name."""
    calling_ae_title = parse_ae_title(settings.receive.ae_title)
    rules = {row.name: row.verification(calling_ae_title=calling_ae_title) for row in settings.deliver.destinations}
    return {name: rule for name, rule in rules.items() if rule is not None}


def delivery_handler(process: Process, to: Mapping[str, Destination] | None = None) -> DeliverHandler:
    """Return the handler that sends results; the audit trail records what it sends.

    Its destinations are those of the settings in force at each delivery; `to` replaces them, by name.
    """

    associations = HeldAssociations()

    def destinations(settings: Settings) -> dict[str, Destination]:
        opened = open_destinations(settings, associations) if to is None else to
        return audit_decorators.destinations(process.audit, settings.deliver.destinations, opened)

    def rules(settings: Settings) -> dict[str, VerificationRule]:
        return audit_decorators.verification(process.audit, verification(settings))

    return DeliverHandler(
        database=process.database,
        archive=process.archive,
        destinations=process.live.mapping(destinations),
        verification=process.live.mapping(rules),
        associations=associations,
        clock=process.clock,
        new_uid=process.new_uid,
        retry=retry_rule(process.settings),
    )


def commitment_handler(process: Process) -> CommitmentHandler:
    """Return the handler that sends commitment results to peers."""
    peers = commitment_peers(process.settings)
    limits_of = partial(commitment_limits, process.settings.receive)
    return CommitmentHandler(
        database=process.database,
        archive=process.archive,
        peers=peers,
        limits_of=limits_of,
        clock=process.clock,
    )


def retry_rule(settings: Settings) -> RetryRule:
    """Return how a delivery is retried, and for how long."""
    return replace(RULES[Stage.DELIVER], give_up_s=settings.deliver.give_up_hours * 3600.0)


def commitment_peers(settings: Settings) -> dict[str, Peer]:
    """Return the peers that commitment results are sent to, by AE title."""
    calling_ae_title = parse_ae_title(settings.receive.ae_title)
    return {row.ae_title: row.peer(calling_ae_title=calling_ae_title) for row in settings.receive.commitment_peers}
