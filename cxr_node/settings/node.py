"""Settings of the node itself: who it is, where things are kept, its clock and its log."""

import socket
from pathlib import Path
from typing import Literal

from pydantic import Field

from cxr_node.domain.section import Seconds, Section

_LONGEST_HOST = 64


class NodeSection(Section):
    """Who the node is, and where it keeps things."""

    name: str = Field("cxr-node", min_length=1, max_length=16, description="Names this node in results and leases.")
    host: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]{0,64}$",
        description="Names this machine among those that work on one database; empty for its own name.",
    )
    data_folder: Path = Field(
        Path("cxr-node-data"), description="Folder of films, results and, by default, the database."
    )

    @property
    def host_name(self) -> str:
        """The name of this host among those that work on one database."""
        return self.host or socket.gethostname()[:_LONGEST_HOST]

    @property
    def bundles_folder(self) -> Path:
        """The folder of installed bundles."""
        return self.data_folder / "bundles"

    @property
    def shared_bundles_folder(self) -> Path:
        """The folder of bundles that were activated for all readers."""
        return self.data_folder / "bundles-for-all"


class DatabaseSection(Section):
    """Where the work is remembered."""

    url: str = Field(
        "", description="SQLAlchemy URL, such as postgresql://user@host/name. Empty: SQLite in the data folder."
    )
    busy_timeout_s: Seconds = Field(30.0, description="How long SQLite waits for another process's write, in seconds.")


class ArchiveSection(Section):
    """Where films and results are kept: in the data folder, or in a bucket that several hosts share."""

    bucket: str = Field(
        "",
        pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$",
        description="Bucket of an S3-compatible store to keep films and results in; empty for the data folder.",
    )
    bucket_prefix: str = Field("", pattern=r"^[A-Za-z0-9._/-]{0,200}$", description="What their names begin with.")
    bucket_endpoint: str = Field(
        "",
        pattern=r"^(https?://\S{1,200})?$",
        description="Address of the store; empty for Amazon S3. http:// only on a network that nobody else is on.",
    )
    bucket_region: str = Field("us-east-1", min_length=1, max_length=60, description="Region of the bucket.")
    bucket_timeout_s: Seconds = Field(
        30.0, description="Longest wait for an answer of the store, in seconds; a request is tried three times more."
    )
    reserve_bytes: int = Field(
        2**30,
        ge=0,
        description="Free space kept for the database and results, in bytes; films that would use it are refused.",
    )
    keep_days: float = Field(
        0.0, ge=0, description="Days after which the films and results of delivered studies are removed; 0 for never."
    )
    scrub_bytes_per_second: int = Field(
        2**20,
        ge=0,
        description="Bytes a second of kept files that are read again and held against their digests; 0 for none.",
    )


# The stages' own defaults, said once.


class ScheduleSection(Section):
    """The safety net: work is woken when it is committed, and looked for at each tick as well."""

    tick_s: Seconds = Field(5.0, description="How often each role looks for work it was not woken for, in seconds.")


class LogSection(Section):
    """What the node tells while it runs. Logs name jobs, UIDs and AE titles, never patients."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least level that is shown.")
