"""Words of text in any script, without accents and case, for comparison with lists of words."""

import re
import unicodedata

_CHARACTER_SETS = ("utf-8", "gb18030", "shift_jis", "euc_kr", "iso8859-5", "cp1251", "iso8859-7", "iso8859-9", "cp1252")
"""Character sets of the field beside Latin-1. A header often declares none, or another, for Code Strings."""
_ESCAPE = b"\x1b"
_ESCAPED = ("iso2022_jp_2", "iso2022_kr")
_UNSPLIT = str.maketrans({"ß": "SS", "ẞ": "SS", "Ł": "L", "ł": "L", "Ø": "O", "ø": "O", "ı": "I", "Đ": "D", "đ": "D"})
"""Letters that Unicode does not split into a letter and a mark."""
_WORD = re.compile(r"[^\W\d_]+")

NO_STATEMENT = frozenset(
    _WORD.findall(
        "UNKNOWN UNK OTHER OTHERS NONE NA NIL UNSPECIFIED UNDEFINED NOTSPECIFIED NOTAPPLICABLE NOTAVAILABLE UNASSIGNED "
        "ANON ANONYMOUS ANONYMIZED ANONYMISED REMOVED DEFAULT MISC UNBEKANNT ANDERE SONSTIGE KEINE INCONNU AUTRE AUCUN "
        "DESCONOCIDO OTRO OTRA NINGUNO DESCONHECIDO OUTRO NENHUM SCONOSCIUTO ALTRO NESSUNO ONBEKEND GEEN"
    )
)
"""Values, joined to one word, that say that nothing is stated."""


def fold(text: str) -> str:
    """Return text in capitals, without accents and other marks: "Tórax" becomes "TORAX"."""
    split = unicodedata.normalize("NFKD", text.translate(_UNSPLIT)).upper().translate(_UNSPLIT)
    return "".join(character for character in split if not unicodedata.combining(character))


def decodings(encoded: bytes) -> tuple[str, ...]:
    """Return text that may be in any character set as it reads in each that fits, folded."""
    if encoded.isascii() and _ESCAPE not in encoded:
        return (fold(encoded.decode("ascii")),)
    texts = []
    for name in _ESCAPED if _ESCAPE in encoded else _CHARACTER_SETS:
        try:
            texts.append(fold(encoded.decode(name)))
        except UnicodeDecodeError:
            continue
    return tuple(dict.fromkeys((*texts, fold(encoded.decode("latin-1")))))


def split(text: str) -> list[str]:
    """Return the words of folded text: runs of letters of any script."""
    return _WORD.findall(text)


def states_nothing(text: str) -> bool:
    """Whether folded text only says that nothing is stated: "N/A", "UNKNOWN", "?", "XXX"."""
    joined = "".join(split(text))
    has_digit = any(character.isdigit() for character in text)
    return not has_digit and (not joined or joined in NO_STATEMENT or set(joined) == {"X"})
