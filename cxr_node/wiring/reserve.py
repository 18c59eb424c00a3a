"""What must stay free on the volume of the data folder, by the settings."""

from cxr_node.archive.space import Reserve
from cxr_node.settings.root import Settings


def reserve_of(settings: Settings) -> Reserve:
    """Return the reserve for database and results."""
    return Reserve(size_bytes=settings.archive.reserve_bytes, inodes=settings.archive.reserve_inodes)
