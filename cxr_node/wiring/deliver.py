"""The destinations, what vouches for them and who is told what is kept, wired from settings."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from cxr_node.db.states import Stage
from cxr_node.deliver.commitment import CommitmentRequester, DeliveryVerifier, FindVerifier
from cxr_node.deliver.cstore import CStoreDestination
from cxr_node.deliver.destination import Destination
from cxr_node.deliver.folder import FolderDestination
from cxr_node.deliver.peer import Peer
from cxr_node.domain.identifiers import parse_ae_title
from cxr_node.queue.retry import RULES, RetryRule
from cxr_node.settings.receive import CommitmentPeerSection
from cxr_node.settings.results import CStoreSection, FolderSection
from cxr_node.settings.root import Settings
from cxr_node.work.handlers.deliver import VerificationRule


def destinations(settings: Settings) -> dict[str, Destination]:
    """Return the configured destinations by name."""
    return {each.name: _destination(settings, each) for each in settings.deliver.destinations}


def confirmations(settings: Settings, to: Mapping[str, Destination]) -> dict[str, VerificationRule]:
    """Return how those destinations are asked that are to vouch for what they took."""
    found: dict[str, VerificationRule] = {}
    for each in settings.deliver.destinations:
        destination = to[each.name]
        if isinstance(each, CStoreSection) and isinstance(destination, CStoreDestination) and each.confirm != "none":
            asker = CommitmentRequester(remote=destination.remote, wait_s=each.confirm_wait_s)
            confirms: DeliveryVerifier = (
                asker if each.confirm == "commitment" else FindVerifier(remote=destination.remote)
            )
            found[each.name] = VerificationRule(confirms=confirms, again_s=each.confirm_again_s)
    return found


def rule(settings: Settings) -> RetryRule:
    """Return how a delivery is tried again, and for how long."""
    return replace(RULES[Stage.DELIVER], give_up_s=settings.deliver.give_up_hours * 3600.0)


def commitment_peers(settings: Settings) -> dict[str, Peer]:
    """Return where peers are told what is kept, by AE title."""
    return {
        each.ae_title: _remote(each, calling=settings.receive.ae_title) for each in settings.receive.commitment_peers
    }


def _destination(settings: Settings, section: CStoreSection | FolderSection) -> Destination:
    match section:
        case CStoreSection():
            return CStoreDestination(
                name=section.name,
                remote=_remote(section, calling=section.calling_ae_title or settings.receive.ae_title),
                warning_is_success=section.warning_is_success,
            )
        case FolderSection():
            return FolderDestination(name=section.name, folder=Path(section.folder))
        case _:
            assert_never(section)


def _remote(section: CStoreSection | CommitmentPeerSection, *, calling: str) -> Peer:
    return Peer(
        host=section.host,
        port=section.port,
        called_ae_title=parse_ae_title(section.ae_title),
        calling_ae_title=parse_ae_title(calling),
        connection_timeout_s=section.timeout_s,
        acse_timeout_s=section.timeout_s,
        dimse_timeout_s=section.timeout_s,
        network_timeout_s=section.timeout_s,
        tls=section.tls_peer,
    )
