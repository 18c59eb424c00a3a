"""Valid and invalid archive keys."""

import pytest

from cxr_node.archive.store import check_key, film_key, result_key
from cxr_node.domain.identifiers import derive_uid, digest_of


def test_keys_of_films_and_results_are_valid() -> None:
    for key in (film_key(digest_of(b"film")), result_key(derive_uid("result"))):
        assert check_key(key) == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "films/00/../../etc/passwd.dcm",
        "/films/00/a.dcm",
        "films/00/a.dcm/",
        "films/00/a.dcm\n",
        "other/00/a.dcm",
        "films/0/a.dcm",
    ],
)
def test_a_path_out_of_the_archive_is_no_key(key: str) -> None:
    with pytest.raises(ValueError, match="not an archive key"):
        check_key(key)
