"""Settings of the host: names, folders, database, archive, identifiers, schedule, log."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from cxr_node.db.url import is_postgresql, is_url, with_password, without_password
from cxr_node.domain.secret import SecretText, SecretUrl, secret_form
from cxr_node.domain.section import Seconds, Section, Trigger, text_form

_LONGEST_HOST = 64


class NodeSection(Section):
    """Name and data folder of the node."""

    name: str = Field("cxr-node", min_length=1, max_length=16, description="Name of the node in results and leases.")
    host: Annotated[str, text_form(r"[A-Za-z0-9._-]{0,64}", "at most 64 letters, digits, or any of . _ -")] = Field(
        "",
        description="Name of this host among those that share the database; empty: the host name.",
    )
    data_folder: Path = Field(
        Path("cxr-node-data"), description="Folder of the archive, the audit trail and, by default, the database."
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


class DatabaseUrl(SecretUrl):
    """URL of a database; its password and parameters that may be secrets are not shown."""

    def _display(self) -> str:
        return without_password(self.get_secret_value()) if self else ""


def _database_url(secret: DatabaseUrl) -> DatabaseUrl:
    url = secret.get_secret_value()
    scheme = url.partition("://")[0].partition("+")[0]
    if url and ("://" not in url or scheme not in _DATABASES):
        fault = f"{scheme} is not supported" if "://" in url else "this is not a URL"
        raise ValueError(f"{fault}; use postgresql:// or sqlite:///, or leave it empty")
    if url and not is_url(url):
        raise ValueError("this is not a URL; expected postgresql://USER@HOST:PORT/NAME")
    return secret


_DATABASES = ("postgresql", "sqlite")


class DatabaseSection(Section):
    """Job database."""

    url: Annotated[DatabaseUrl, AfterValidator(_database_url)] = Field(
        DatabaseUrl(""), description="URL, such as postgresql://user@host/name; empty: SQLite in the data folder."
    )
    password: SecretText = Field(
        SecretText(""), description="Password for PostgreSQL, in place of one in the URL; empty: that of the URL."
    )
    busy_timeout_s: Seconds = Field(30.0, description="Time that SQLite waits for the write lock, in seconds.")

    @property
    def full_url(self) -> str:
        """The URL with its password; empty for SQLite in the data folder."""
        url = self.url.get_secret_value()
        return with_password(url, self.password.get_secret_value()) if self.password else url

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield a sentence for a password without a server."""
        if self.password and not (self.url and is_postgresql(self.url.get_secret_value())):
            yield f"{key}.password: needs {key}.url with a PostgreSQL server"


class ArchiveSection(Section):
    """Archive of films and results: a folder, or a bucket that several hosts share; retention and scrub."""

    bucket: Annotated[
        str, text_form(r"([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?", "3 to 63 lower-case letters, digits, dots or hyphens")
    ] = Field(
        "",
        description="Bucket of an S3-compatible store; empty: the data folder. Requires the extra s3.",
    )
    bucket_prefix: Annotated[
        str, text_form(r"[A-Za-z0-9._/-]{0,200}", "at most 200 letters, digits, or any of . _ / -")
    ] = Field("", description="Prefix of the object keys.")
    bucket_endpoint: Annotated[
        SecretUrl, secret_form(r"(https?://\S{1,200})?", "http://... or https://..., at most 200 characters")
    ] = Field(
        SecretUrl(""),
        description="URL of the store; empty: Amazon S3. Use http:// only on a trusted network.",
    )
    bucket_region: str = Field("us-east-1", min_length=1, max_length=60, description="Region of the bucket.")
    bucket_access_key_id: SecretText = Field(
        SecretText(""), description="Access key ID; empty: from AWS_ACCESS_KEY_ID, or the role of the host."
    )
    bucket_secret_access_key: SecretText = Field(
        SecretText(""), description="Secret access key; empty: from AWS_SECRET_ACCESS_KEY, or the role of the host."
    )
    bucket_timeout_s: Seconds = Field(
        30.0, description="Timeout of a request to the store, in seconds; it is retried three times."
    )
    reserve_bytes: int = Field(
        2**30,
        ge=0,
        description="Disk space reserved for database and results, in bytes. Films are rejected (0xA700) below it.",
    )
    reserve_inodes: int = Field(
        10_000,
        ge=0,
        description="Inodes reserved for database and results. Films are rejected (0xA700) below it.",
    )
    keep_days: float = Field(
        0.0, ge=0, description="Retention of the films and results of delivered studies, in days; 0: unlimited."
    )
    scrub_bytes_per_second: int = Field(
        2**20,
        ge=0,
        description="Scrub rate: archived bytes per second that are checked against their digests; 0: no scrub.",
    )

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield a sentence for half a pair of keys."""
        if bool(self.bucket_access_key_id) != bool(self.bucket_secret_access_key):
            names = f"{key}.bucket_access_key_id and {key}.bucket_secret_access_key"
            yield f"{names}: one is of no use without the other"


class IdentifiersSection(Section):
    """Identifiers of films in the database, for search: Accession Number, Patient ID, study date and description."""

    keep: bool = Field(True, description="Store identifiers; false: none is stored, and stored ones are deleted.")
    keep_names: bool = Field(
        False,
        description="Store Patient's Name of films received from now on, and show it with the other identifiers; "
        "false: stored names are deleted.",
    )

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield a sentence for names without other identifiers."""
        if self.keep_names and not self.keep:
            yield f"{key}.keep_names: needs {key}.keep, as names are stored with the other identifiers"


class ScheduleSection(Section):
    """Periodic jobs: an interval in seconds, or a cron expression of five fields in UTC, such as "30 2 * * *"."""

    tick_s: Seconds = Field(
        5.0,
        description="Interval of expired leases, of shadow mode, of reading equipment and identifiers of stored films, "
        "of polling for lost notifications, and of looking whether the settings file has changed, in seconds.",
    )
    heartbeat_timeout_s: Seconds = Field(
        60.0, description="A role without a heartbeat for this long is killed and restarted, in seconds."
    )
    retention: Trigger = Field(600.0, description="When films and results older than archive.keep_days are removed.")
    scrub_s: Seconds = Field(
        10.0, description="Interval at which archived files are compared with their digests, in seconds."
    )
    drift: Trigger = Field(600.0, description="When daily statistics are updated and tested.")
    constancy: Trigger = Field(60.0, description="When the constancy check is started, if it is due that day.")
    pictures: Trigger = Field(600.0, description="When cached pictures of the page are removed.")
    counters_s: Seconds = Field(
        5.0, description="Interval at which counters of rejections are written to their file, in seconds."
    )
    audit_forwarding_s: Seconds = Field(
        1.0, description="Interval of forwarding the audit trail to the receiver, in seconds."
    )
    audit_removal: Trigger = Field(3600.0, description="When audit files older than audit.keep_days are removed.")


class LogSection(Section):
    """Log on standard error. It names jobs, UIDs and AE titles, never patients."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Minimum level of messages.")
