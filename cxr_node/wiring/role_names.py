"""Roles of a node by name, and the names under which their processes hold jobs."""

from enum import StrEnum

from cxr_node.settings.root import Settings


class Role(StrEnum):
    """What a process of the node does."""

    RECEIVE = "receive"
    READ = "read"
    DELIVER = "deliver"
    ADMIN = "admin"
    SHADOW = "shadow"


def lease_owner(settings: Settings, role: Role, process_id: int) -> str:
    """Return the name under which a process holds jobs; it begins with `lease_owner_prefix`."""
    return f"{lease_owner_prefix(settings)}{role}/{process_id}"


def lease_owner_prefix(settings: Settings) -> str:
    """Return the common prefix of the names of this node's workers on this host."""
    return f"{settings.node.name}@{settings.node.host_name}/"
