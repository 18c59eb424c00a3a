"""An archive in a bucket of an S3-compatible object store, which many hosts can share."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import obstore
from obstore import exceptions as refused
from obstore.store import S3Store

from cxr_node.archive.store import check_key
from cxr_node.domain.errors import RetryLater

_RETRIES = 3
_LONGEST_PAUSE = timedelta(seconds=2)


class StoreUnreachable(RetryLater):
    """The object store has not confirmed; whether it has what was sent is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Where objects are: `prefix` stands before every key ("" for none), `endpoint` is "" for Amazon's own.

    Who we are is taken from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or from the host's
    role, never from here.
    """

    name: str
    prefix: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    timeout_s: float = 30.0
    """Of one request. It is tried three times more, and never for longer than twice this altogether."""


class ObjectArchive:
    """Objects in `bucket`, each written by one PUT with its SHA-256, which the store compares before it confirms.

    An object is there whole or not at all, and what a store has confirmed it keeps: that is what S3 promises.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._name = bucket.name
        optional: dict[str, Any] = {"endpoint": bucket.endpoint} if bucket.endpoint else {}
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
        """Keep `content` under `key`; when this returns the store has confirmed it. See `Archive.put`.

        Raises
        ------
        StoreAway
            If the store has not confirmed. It may have the object all the same: the next attempt writes the same.
        """
        path = check_key(key)
        try:
            obstore.put(self._store, path, content, use_multipart=False)
        except (refused.BaseError, OSError) as error:
            raise self._away(f"did not confirm {key}", error) from error

    def stage(self) -> "StagedUpload":
        """Return what holds bytes in memory until they are put; see `Archive.aside`."""
        return StagedUpload(self)

    def get(self, key: str) -> bytes:
        """Return what is kept under `key`, or raise KeyError; StoreAway if the store does not say."""
        path = check_key(key)
        try:
            return bytes(obstore.get(self._store, path).bytes())
        except FileNotFoundError:
            raise KeyError(key) from None
        except (refused.BaseError, OSError) as error:
            raise self._away(f"did not give {key}", error) from error

    def discard(self, key: str) -> None:
        """Forget `key`, if it is there."""
        path = check_key(key)
        try:
            obstore.delete(self._store, path)
        except FileNotFoundError:
            return
        except (refused.BaseError, OSError) as error:
            raise self._away(f"did not forget {key}", error) from error

    def __contains__(self, key: str) -> bool:
        """Whether something is kept under `key`."""
        path = check_key(key)
        try:
            obstore.head(self._store, path)
        except FileNotFoundError:
            return False
        except (refused.BaseError, OSError) as error:
            raise self._away(f"did not say whether it has {key}", error) from error
        return True

    def kept_keys(self) -> Iterator[str]:
        """Yield every key that a film or a result is kept under."""
        try:
            for page in obstore.list(self._store):
                yield from (path for each in page if (path := str(each["path"])).endswith(".dcm"))
        except (refused.BaseError, OSError) as error:
            raise self._away("did not list what it has", error) from error

    def clear_staging(self) -> int:
        """Return 0: nothing is ever half written."""
        return 0

    def _away(self, what: str, error: Exception) -> StoreUnreachable:
        # Its messages hold URLs and answers of the store: no more than their kind is said.
        return StoreUnreachable(
            f"the object store of bucket {self._name} {what}: {type(error).__name__}; is it running?"
        )


class StagedUpload:
    """Bytes that are held until the store takes them: its digest of an object stands before the object."""

    def __init__(self, archive: ObjectArchive) -> None:
        self._archive = archive
        self._held = bytearray()

    def write(self, content: bytes | memoryview, /) -> None:
        """Add `content`."""
        self._held += content

    def read(self) -> bytes:
        """Return all that was written."""
        return bytes(self._held)

    def keep(self, key: str) -> None:
        """Put what is held; see `ObjectArchive.put`."""
        self._archive.put(key, self._held)

    def close(self) -> None:
        """Let go of it."""
        self._held = bytearray()
