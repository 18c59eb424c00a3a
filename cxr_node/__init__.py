"""cxr-node: a DICOM node that reads chest radiographs and answers with Structured Reports.

In a program or a notebook, without a node (`docs/how-to/python.md`):

    import cxr_node

    film = cxr_node.read("film.dcm")
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cxr_node.api.chest_film import ChestFilm
    from cxr_node.api.reader import ChestReader, read

__all__ = ["ChestFilm", "ChestReader", "read"]


def __getattr__(name: str) -> object:
    """Import a name of the Python interface at its first use: every command imports this package, and none needs it."""
    if name == "ChestFilm":
        from cxr_node.api.chest_film import ChestFilm

        return ChestFilm
    if name in ("ChestReader", "read"):
        from cxr_node.api import reader

        return getattr(reader, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
