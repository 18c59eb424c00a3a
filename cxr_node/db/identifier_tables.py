"""Table of the identifiers of films, apart from all others: who may read those need not be able to read this."""

from sqlalchemy import Column, ForeignKey, Index, String, Table

from cxr_node.db.tables import RowId, metadata
from cxr_node.domain.film_attributes import NAME_CHARACTERS, TEXT_CHARACTERS

_TEXT = String(TEXT_CHARACTERS)

# A film whose header has any of them, unless its bytes were removed. An absent value is NULL.
film_identifiers = Table(
    "film_identifiers",
    metadata,
    Column("film_id", RowId, ForeignKey("film.id"), primary_key=True, autoincrement=False),
    Column("accession_number", _TEXT),
    Column("patient_id", _TEXT),
    Column("issuer_of_patient_id", _TEXT),
    Column("patient_name", String(NAME_CHARACTERS)),
    Column("study_date", String(10)),
    Column("study_description", _TEXT),
)


def _index_of_present(column: str, *indexed: str) -> Index:
    columns = [film_identifiers.c[name] for name in indexed]
    # The condition is a note, as in `tables`.
    return Index(f"ix_film_identifiers_{column}", *columns, info={"where": f"{column} IS NOT NULL"})


# With the film, so that the newest of many films with one value are found at once.
_index_of_present("accession_number", "accession_number", "film_id")
_index_of_present("patient_id", "patient_id", "film_id")
# Names are absent unless a setting keeps them; with this index those left after a change of it are found at once.
_index_of_present("patient_name", "film_id")
