"""Delivery wired from settings: destinations, their verification, retry rule, and Storage Commitment SCUs."""

from dataclasses import replace

from cxr_node.db.states import Stage
from cxr_node.deliver.destination import Destination, VerificationRule
from cxr_node.deliver.peer import Peer
from cxr_node.domain.identifiers import parse_ae_title
from cxr_node.queue.retry import RULES, RetryRule
from cxr_node.settings.root import Settings


def destinations(settings: Settings) -> dict[str, Destination]:
    """Return the configured destinations by name."""
    calling_ae_title = parse_ae_title(settings.receive.ae_title)
    return {row.name: row.open(calling_ae_title=calling_ae_title) for row in settings.deliver.destinations}


def verification(settings: Settings) -> dict[str, VerificationRule]:
    """Return the verification rules of destinations that have one, by name."""
    calling_ae_title = parse_ae_title(settings.receive.ae_title)
    rules = {row.name: row.verification(calling_ae_title=calling_ae_title) for row in settings.deliver.destinations}
    return {name: rule for name, rule in rules.items() if rule is not None}


def rule(settings: Settings) -> RetryRule:
    """Return how a delivery is retried, and for how long."""
    return replace(RULES[Stage.DELIVER], give_up_s=settings.deliver.give_up_hours * 3600.0)


def commitment_peers(settings: Settings) -> dict[str, Peer]:
    """Return the peers that commitment results are sent to, by AE title."""
    calling_ae_title = parse_ae_title(settings.receive.ae_title)
    return {row.ae_title: row.peer(calling_ae_title=calling_ae_title) for row in settings.receive.commitment_peers}
