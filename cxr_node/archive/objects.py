"""Archive in a bucket of an S3-compatible object store, which several hosts can share."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import obstore
from obstore import exceptions
from obstore.store import S3Store

from cxr_node.archive.store import check_key
from cxr_node.domain.errors import RetryLater, type_and_place

_log = logging.getLogger(__name__)

_RETRIES = 3
_LONGEST_PAUSE = timedelta(seconds=2)


class StoreUnreachable(RetryLater):
    """The object store has not responded; the state of the object is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket; `prefix` precedes every key, `endpoint` "" is Amazon's.

    Without keys, credentials are from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or the host's role.
    """

    name: str
    prefix: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    access_key_id: str = field(default="", repr=False)
    secret_access_key: str = field(default="", repr=False)
    timeout_s: float = 30.0
    """Of one request. It is retried three times, within twice this time in total."""


class ObjectArchive:
    """Objects in `bucket`, each written by one PUT with its SHA-256, which the store verifies.

    S3 guarantees atomic writes, and durability after the response.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._name = bucket.name
        optional: dict[str, Any] = {"endpoint": bucket.endpoint} if bucket.endpoint else {}
        if bucket.access_key_id:
            optional |= {"access_key_id": bucket.access_key_id, "secret_access_key": bucket.secret_access_key}
        self._store = S3Store(
            bucket.name,
            prefix=bucket.prefix or None,
            region=bucket.region,
            checksum_algorithm="SHA256",
            client_options={
                "allow_http": bucket.endpoint.startswith("http://"),
                "timeout": timedelta(seconds=bucket.timeout_s),
                "connect_timeout": timedelta(seconds=min(bucket.timeout_s, 5.0)),
            },
            retry_config={
                "max_retries": _RETRIES,
                "retry_timeout": timedelta(seconds=2 * bucket.timeout_s),
                "backoff": {"max_backoff": _LONGEST_PAUSE},
            },
            **optional,
        )

    def put(self, key: str, content: bytes | bytearray) -> None:
        """Store `content` under `key`; on return the store has confirmed it. See `Archive.put`.

        Raises
        ------
        StoreUnreachable
            If the store has not confirmed. It may still have the object: the next attempt writes the same bytes.
        """
        path = check_key(key)
        try:
            obstore.put(self._store, path, content, use_multipart=False)
        except (exceptions.BaseError, OSError) as error:
            raise self._unreachable(f"did not confirm {key}", error) from error

    def stage(self) -> "StagedUpload":
        """Return a buffer in memory; see `Archive.stage`."""
        return StagedUpload(self)

    def get(self, key: str) -> bytes:
        """Return the content of `key`, or raise KeyError; StoreUnreachable without a response."""
        path = check_key(key)
        try:
            return bytes(obstore.get(self._store, path).bytes())
        except FileNotFoundError:
            raise KeyError(key) from None
        except (exceptions.BaseError, OSError) as error:
            raise self._unreachable(f"did not return {key}", error) from error

    def get_beginning(self, key: str, size_bytes: int) -> bytes:
        """Return at most the first `size_bytes` of the content of `key`, or raise as `get`."""
        path = check_key(key)
        try:
            return bytes(obstore.get_range(self._store, path, start=0, length=size_bytes))
        except FileNotFoundError:
            raise KeyError(key) from None
        except (exceptions.BaseError, OSError) as error:
            raise self._unreachable(f"did not return {key}", error) from error

    def has_place_of(self, key: str) -> bool:
        """Whether the bucket is there: `get` has had its answer."""
        check_key(key)
        return True

    def discard(self, key: str) -> None:
        """Remove `key`, if it exists."""
        path = check_key(key)
        try:
            obstore.delete(self._store, path)
        except FileNotFoundError:
            return
        except (exceptions.BaseError, OSError) as error:
            raise self._unreachable(f"did not delete {key}", error) from error

    def __contains__(self, key: str) -> bool:
        """Whether `key` exists."""
        path = check_key(key)
        try:
            obstore.head(self._store, path)
        except FileNotFoundError:
            return False
        except (exceptions.BaseError, OSError) as error:
            raise self._unreachable(f"did not respond to a HEAD of {key}", error) from error
        return True

    def stored_keys(self) -> Iterator[str]:
        """Yield the keys of all films and results."""
        try:
            for page in obstore.list(self._store):
                yield from (path for entry in page if (path := str(entry["path"])).endswith(".dcm"))
        except (exceptions.BaseError, OSError) as error:
            raise self._unreachable("did not list its objects", error) from error

    def clear_staging(self) -> int:
        """Return 0: writes are atomic."""
        return 0

    def _unreachable(self, what: str, error: Exception) -> StoreUnreachable:
        # Messages of the client contain URLs and responses.
        _log.warning("object store: %s", type_and_place(error))
        return StoreUnreachable(f"the object store of bucket {self._name} {what}; is it running?")


class StagedUpload:
    """Content in memory until it is sent: a PUT has the digest in its header, before the content."""

    def __init__(self, archive: ObjectArchive) -> None:
        self._archive = archive
        self._content = bytearray()

    def write(self, content: bytes | memoryview, /) -> None:
        """Append `content`."""
        self._content += content

    def read(self) -> bytes:
        """Return the content."""
        return bytes(self._content)

    def commit(self, key: str) -> None:
        """Send the content; see `ObjectArchive.put`."""
        self._archive.put(key, self._content)

    def close(self) -> None:
        """Discard the content."""
        self._content = bytearray()
