"""Import of pydicom without the libraries that it imports wherever they are installed.

Its decoders import GDCM and the codecs of pylibjpeg, its test data imports requests: 24 MB and 0.1 s in each process.
Frames are decoded in the child of `pixels.sandbox` alone, which imports the codecs by itself.
"""

import sys

UNUSED = ("gdcm", "jpeg_ls", "libjpeg", "openjpeg", "requests", "rle", "tqdm")


def import_pydicom() -> None:
    """Import pydicom without `UNUSED`, unless it is imported already; other modules may import them later."""
    if "pydicom" in sys.modules:
        return
    modules: dict[str, object] = sys.modules  # type: ignore[assignment]  # None: the import raises ModuleNotFoundError
    absent = [name for name in UNUSED if name not in modules]
    modules.update(dict.fromkeys(absent))
    try:
        import pydicom  # noqa: F401
    finally:
        for name in absent:
            del modules[name]
