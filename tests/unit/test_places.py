"""Lines of settings in a TOML file, and sentences with them."""

import tomllib
from pathlib import Path

import pytest

from cxr_node import config
from cxr_node.config import ConfigurationError
from cxr_node.ops import example_config
from cxr_node.settings.places import Places, lines_of

TEXT = '''# first = 1
[receive]   # a comment with [[brackets]]
ae_title = "CXR" # = 3
calling_ae_titles = [
  "DX1",  # with = and ]
  "DX2",
]
"port" = 104
host."x" = 1
[[receive.peers]]
ae_title = "DX1"
addresses = ["10.0.0.0/8"]

  [[ receive . peers ]]
ae_title = 'DX2'
[deliver]
text = """
[[deliver.destinations]]
name = "not a row"
"""
[[deliver.destinations]]
name = "pacs"
when = { views = ["PA"] }
[deliver.destinations.more]
deep = true
[[deliver.destinations]]
name = "other [2]"'''


def test_every_key_and_table_has_its_line() -> None:
    assert lines_of(TEXT) == {
        ("receive",): 2,
        ("receive", "ae_title"): 3,
        ("receive", "calling_ae_titles"): 4,
        ("receive", "port"): 8,
        ("receive", "host", "x"): 9,
        ("receive", "peers", 0): 10,
        ("receive", "peers", 0, "ae_title"): 11,
        ("receive", "peers", 0, "addresses"): 12,
        ("receive", "peers", 1): 14,
        ("receive", "peers", 1, "ae_title"): 15,
        ("deliver",): 16,
        ("deliver", "text"): 17,
        ("deliver", "destinations", 0): 21,
        ("deliver", "destinations", 0, "name"): 22,
        ("deliver", "destinations", 0, "when"): 23,
        ("deliver", "destinations", 0, "more"): 24,
        ("deliver", "destinations", 0, "more", "deep"): 25,
        ("deliver", "destinations", 1): 26,
        ("deliver", "destinations", 1, "name"): 27,
    }


def test_the_lines_of_the_example_are_those_of_its_keys() -> None:
    text = example_config.text()
    lines = text.splitlines()
    tables = tomllib.loads(text)

    places = lines_of(text)

    keys = {(section, name) for section, table in tables.items() for name in table}
    assert keys <= places.keys()
    assert all(lines[places[key] - 1].startswith(f"{key[1]} = ") for key in keys)


@pytest.mark.parametrize(
    ("subject", "place"),
    [
        ("receive.port", "line 8 of node.toml"),
        ("receive.dimse_timeout_s", "line 2 of node.toml"),
        ("deliver.destinations.pacs.port", "line 21 of node.toml"),
        ("deliver.destinations.other [2]", "line 26 of node.toml"),
        ("receive.tls_key and receive.tls_certificate", "line 2 of node.toml"),
        ("web.users", "from the moon"),
    ],
)
def test_a_sentence_gets_the_nearest_place_of_its_key(subject: str, place: str) -> None:
    places = Places.of("node.toml", TEXT, tomllib.loads(TEXT), {("web", "users"): "the moon"})

    assert places.add(f"{subject}: is wrong") == f"{subject} ({place}): is wrong"
    assert places.add("oidc.issuer: is in no file") == "oidc.issuer: is in no file"


def test_every_wrong_setting_of_a_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text('[receive]\nport = 70000\nprot = 1\n[[deliver.destinations]]\nname = "a"\n', encoding="utf-8")

    with pytest.raises(ConfigurationError) as caught:
        config.load(path)

    assert [problem.partition(": ")[0] for problem in caught.value.problems] == [
        f"receive.port (line 2 of {path})",
        f"receive.prot (line 3 of {path})",
        f"deliver.destinations.a.kind (line 4 of {path})",
    ]
