"""Archive of the settings, and the reduced films of this host; without a database, for preprocessing processes."""

from cxr_node.archive.folder import FolderArchive
from cxr_node.archive.reduced_films import ReducedFilms
from cxr_node.archive.store import Archive
from cxr_node.config import ConfigurationError
from cxr_node.settings.root import Settings


def open_archive(settings: Settings) -> Archive:
    """Return the archive of films and results.

    Raises
    ------
    ConfigurationError
        If it is a bucket, and the library for it is not installed.
    """
    section = settings.archive
    if not section.bucket:
        return FolderArchive(settings.node.data_folder / "archive")
    try:
        from cxr_node.archive.objects import Bucket, ObjectArchive
    except ImportError:
        raise ConfigurationError(["archive.bucket: needs the extra s3: pip install 'cxr-node[s3]'"]) from None
    return ObjectArchive(
        Bucket(
            name=section.bucket,
            prefix=section.bucket_prefix,
            endpoint=section.bucket_endpoint.get_secret_value(),
            access_key_id=section.bucket_access_key_id.get_secret_value(),
            secret_access_key=section.bucket_secret_access_key.get_secret_value(),
            region=section.bucket_region,
            timeout_s=section.bucket_timeout_s,
        )
    )


def open_reduced_films(settings: Settings) -> ReducedFilms:
    """Return the films that reading leaves for the pictures of their study."""
    return ReducedFilms(settings.node.data_folder / "reduced")
