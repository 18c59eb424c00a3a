"""Settings: defaults, and errors that name the key, the value, what was expected and the nearest right key."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cxr_node import config
from cxr_node.config import ConfigurationError
from cxr_node.domain.section import Section, table_types
from cxr_node.ops.certificates import certificates, key_pairs
from cxr_node.settings.root import Settings

PACS = {"kind": "cstore", "name": "pacs", "host": "127.0.0.1", "port": 104, "ae_title": "PACS"}


def problems(tables: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        config.parse(tables)
    return caught.value.problems


def test_an_empty_file_has_all_defaults(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text("", encoding="utf-8")

    settings = config.load(path)

    assert settings.receive.ae_title == "CXRNODE"
    assert settings.node.data_folder == tmp_path / "cxr-node-data"
    assert settings.database_url == f"sqlite:///{tmp_path / 'cxr-node-data' / 'node.db'}"


def test_a_misspelt_key_is_reported_with_the_nearest_key() -> None:
    assert problems({"receive": {"prot": 104}}) == ["receive.prot: there is no such setting; did you mean 'port'?"]
    assert problems({"recieve": {}}) == ["recieve: there is no such setting; did you mean 'receive'?"]


def test_a_misspelt_key_of_a_destination_is_reported_with_the_nearest_key() -> None:
    (problem,) = problems({"deliver": {"destinations": [{**PACS, "timout_s": 3}]}})

    assert problem == "deliver.destinations.pacs.timout_s: there is no such setting; did you mean 'timeout_s'?"


def test_an_invalid_value_is_reported_with_the_expected_value() -> None:
    (problem,) = problems({"receive": {"port": 70000}})

    assert problem.startswith("receive.port: 70000 is not right; expected at most 65535")
    assert "TCP port" in problem


def test_a_missing_setting_is_reported() -> None:
    (problem,) = problems({"deliver": {"destinations": [{k: v for k, v in PACS.items() if k != "ae_title"}]}})

    assert problem == "deliver.destinations.pacs.ae_title: must be set (Its AE title.)"


@pytest.mark.parametrize(("kind", "what"), [({}, "must be set to"), ({"kind": "ftp"}, '"ftp" is not right; expected')])
def test_a_destination_without_a_known_kind_is_reported_with_the_kinds(kind: dict[str, str], what: str) -> None:
    (problem,) = problems({"deliver": {"destinations": [{"name": "x", **kind}]}})

    kinds = '"cstore" or "folder" or "stow" or "hl7" or "fhir"'
    assert problem == f"deliver.destinations.x.kind: {what} {kinds} (Kind of destination.)"


def test_an_invalid_ae_title_is_an_error() -> None:
    (problem,) = problems({"receive": {"ae_title": "much too long for one"}})

    assert problem.startswith("receive.ae_title: not an AE title (1 to 16 printable characters)")


def test_two_destinations_of_one_name_are_an_error() -> None:
    assert problems({"deliver": {"destinations": [PACS, PACS]}}) == [
        "deliver.destinations.pacs: the name 'pacs' is there twice; give each a name of its own"
    ]


def test_all_invalid_settings_are_reported_at_once() -> None:
    assert len(problems({"receive": {"prot": 1, "port": -1}, "node": {"name": ""}})) == 3


@pytest.mark.parametrize(("content", "sentence"), [(b"[node", "not TOML"), (b"\xff\xfe", "not TOML")])
def test_a_file_that_is_not_toml_is_an_error(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "node.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=sentence):
        config.load(path)


def test_a_missing_file_is_reported_with_the_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--config"):
        config.load(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("tables", "problem"),
    [
        ({"receive": {"tls_certificate": "a.pem"}}, "receive.tls_certificate and receive.tls_key: one is of no use"),
        ({"receive": {"tls_peers_ca": "ca.pem"}}, "receive.tls_peers_ca: needs receive.tls_certificate"),
        (
            {"deliver": {"destinations": [{**PACS, "tls_certificate": "a.pem", "tls_key": "k.pem"}]}},
            "deliver.destinations.pacs.tls_certificate: needs deliver.destinations.pacs.tls_ca",
        ),
        (
            {"constancy": {"tls_certificate": "a.pem", "tls_key": "k.pem"}},
            "constancy.tls_certificate: needs constancy.tls_ca",
        ),
    ],
)
def test_incomplete_tls_settings_are_an_error(tables: dict[str, Any], problem: str) -> None:
    assert [sentence[: len(problem)] for sentence in problems(tables)] == [problem]


def test_relative_tls_paths_are_taken_from_the_folder_of_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text('[receive]\ntls_certificate = "node.pem"\ntls_key = "/keys/node.pem"\n', encoding="utf-8")

    receive = config.load(path).receive

    assert (receive.tls_certificate, receive.tls_key) == (tmp_path / "node.pem", Path("/keys/node.pem"))
    assert receive.tls_peers_ca is None


EVERY_PATH = """
[node]
data_folder = "x"
[read]
bundle = "bundles/x"
shadow = "./x"
[receive]
tls_certificate = "x"
tls_key = "x"
tls_peers_ca = "x"
[[receive.commitment_peers]]
ae_title = "DX1"
host = "127.0.0.1"
port = 104
tls_ca = "x"
tls_certificate = "x"
tls_key = "x"
[[deliver.destinations]]
kind = "cstore"
name = "pacs"
host = "127.0.0.1"
port = 104
ae_title = "PACS"
tls_ca = "x"
tls_certificate = "x"
tls_key = "x"
[[deliver.destinations]]
kind = "folder"
name = "results"
folder = "x"
[constancy]
tls_ca = "x"
tls_certificate = "x"
tls_key = "x"
[audit]
tls_ca = "x"
tls_certificate = "x"
tls_key = "x"
[oidc]
tls_ca = "x"
"""


def test_every_relative_path_is_taken_from_the_folder_of_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text(EVERY_PATH, encoding="utf-8")

    paths = [value for _, table in config.load(path).tables() for _, value in table if isinstance(value, Path)]

    assert len(paths) == 20
    assert all(path.is_relative_to(tmp_path) for path in paths)


def test_a_bundle_without_a_slash_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text('[read]\nbundle = "chest"\n', encoding="utf-8")

    assert config.load(path).read.bundle == "chest"


def test_certificates_and_keys_of_every_section_are_found(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text(EVERY_PATH, encoding="utf-8")
    settings = config.load(path)

    assert [certificate.setting for certificate in certificates(settings)] == [
        "receive.tls_certificate",
        "receive.tls_peers_ca",
        "receive.commitment_peers.DX1.tls_certificate",
        "receive.commitment_peers.DX1.tls_ca",
        "deliver.destinations.pacs.tls_certificate",
        "deliver.destinations.pacs.tls_ca",
        "constancy.tls_certificate",
        "constancy.tls_ca",
        "audit.tls_certificate",
        "audit.tls_ca",
        "oidc.tls_ca",
    ]
    assert [pair.setting for pair in key_pairs(settings)] == [
        "receive",
        "receive.commitment_peers.DX1",
        "deliver.destinations.pacs",
        "constancy",
        "audit",
    ]


USER = {"name": "dx1", "password_hash": f"scrypt:16384:8:5:{'0' * 32}:{'0' * 64}"}


def test_user_identities_without_tls_are_an_error() -> None:
    (problem,) = problems({"receive": {"users": [USER]}})

    assert problem.startswith("receive.users: needs receive.tls_certificate")


def test_hashes_of_passwords_are_not_shown() -> None:
    settings = config.parse({"receive": {"users": [USER], "tls_certificate": "a.pem", "tls_key": "k.pem"}})

    assert "scrypt" not in settings.model_dump_json()
    assert settings.receive.users[0].password_hash.get_secret_value().startswith("scrypt")


def test_a_password_instead_of_its_hash_is_an_error_that_does_not_quote_it() -> None:
    (problem,) = problems({"receive": {"users": [{**USER, "password_hash": "correct horse"}]}})

    assert problem.startswith("receive.users.dx1.password_hash")
    assert "correct horse" not in problem
    assert "cxr-node config password" in problem


@pytest.mark.parametrize("address", ["10.0.7.0/33", "dx1.example.org", "10.0.7.20/24"])
def test_an_invalid_address_is_an_error(address: str) -> None:
    (sentence,) = problems({"receive": {"peers": [{"ae_title": "DX1", "addresses": [address]}]}})

    expected = "expected an address or a network, such as 10.0.7.0/24"
    assert sentence.startswith(f'receive.peers.DX1.addresses: "{address}" is not right; {expected}')


def test_a_single_address_is_a_network_of_one() -> None:
    settings = config.parse({"receive": {"peers": [{"ae_title": "DX1", "addresses": ["10.0.7.20", "2001:db8::/32"]}]}})

    assert [str(network) for network in settings.receive.peers[0].addresses] == ["10.0.7.20/32", "2001:db8::/32"]


def test_two_users_of_one_name_are_an_error() -> None:
    tables = {"receive": {"users": [USER, USER], "tls_certificate": "a.pem", "tls_key": "k.pem"}}

    assert problems(tables) == ["receive.users.dx1: the name 'dx1' is there twice; give each a name of its own"]


SECRET_TABLES: tuple[dict[str, Any], ...] = (
    {"database": {"url": "postgresql://node@127.0.0.1/cxr?password=sesame&host=/run/postgresql"}},
    {"database": {"url": "postgresql://node:sesame@127.0.0.1/cxr"}},
    {"trace": {"endpoint": "https://node:sesame@otlp.example/v1/traces"}},
    {"trace": {"endpoint": "https://otlp.example/v1/traces?token=sesame"}},
    {"archive": {"bucket_endpoint": "https://sesame@s3.example"}},
    {"oidc": {"issuer": "https://node:se@same:sesame@id.example", "client_id": "c", "viewers": ["v"]}},
    {"oidc": {"redirect_url": "https://node:sesame@cxr.example/login/oidc/callback"}},
)


@pytest.mark.parametrize("tables", SECRET_TABLES)
def test_passwords_in_urls_are_not_shown(tables: dict[str, Any]) -> None:
    shown = config.parse(tables).model_dump_json()

    assert "sesame" not in shown
    assert "***" in shown


def test_urls_without_secrets_are_shown() -> None:
    urls = {
        "database": {"url": "postgresql://node@127.0.0.1/cxr?host=%2Frun%2Fpostgresql"},
        "trace": {"endpoint": "https://otlp.example:4318/v1/traces"},
    }
    shown = config.parse(urls)

    assert str(shown.database.url) == urls["database"]["url"]
    assert str(shown.trace.endpoint) == urls["trace"]["endpoint"]


@pytest.mark.parametrize(
    "tables",
    [
        {"trace": {"headers": "Authorization=Bearer sesame"}},
        {"trace": {"endpoint": "sesame"}},
        {"oidc": {"client_secret": ["sesame"]}},
        {"oidc": {"issuer": "http://node:sesame@id.example"}},
        {"alert": {"webhook": "sesame"}},
        {"database": {"url": ["sesame"]}},
        {"database": "postgresql://node:sesame@127.0.0.1/cxr"},
        {"archive": {"bucket_endpoint": "ftp://node:sesame@s3.example"}},
        {"receive": {"ae_title": {"password": "sesame"}}},
        {"web": {"host": ["sesame"]}},
    ],
)
def test_a_wrong_value_that_may_be_a_secret_is_not_quoted(tables: dict[str, Any]) -> None:
    sentences = problems(tables)

    assert sentences
    assert not any("sesame" in sentence for sentence in sentences)


LEAKS = (
    "Input",
    "Value error",
    "should",
    "unable to",
    "isoformat",
    "Tuple",
    "pydantic",
    "valid ",
    "what its description",
)
"""Words of libraries in sentences for people, and of a kind of error without words of its own."""


def leaves(table: type[Section], location: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the location of every setting that is not in a repeated table."""
    for name, field in table.model_fields.items():
        nested = table_types(field.annotation)
        if not nested:
            yield (*location, name)
        elif not location:
            yield from leaves(nested[0], (name,))


@pytest.mark.parametrize("location", list(leaves(Settings)), ids=".".join)
def test_no_wrong_value_is_explained_in_words_of_a_library(location: tuple[str, str]) -> None:
    section, name = location
    values: tuple[object, ...] = ([], [7], {"x": 1}, -1, -0.5, 1e300, math.nan, True, "x" * 2000, "\0", "", "no such")
    for value in values:
        try:
            config.parse({section: {name: value}})
        except ConfigurationError as error:
            for problem in error.problems:
                assert not any(word in problem for word in LEAKS), problem


def test_a_setting_of_another_table_is_named_with_that_table() -> None:
    assert problems({"receive": {"bundle": "x"}}) == [
        "receive.bundle: there is no such setting; it belongs to another table: read.bundle"
    ]


def test_the_alternatives_of_a_setting_are_in_one_sentence() -> None:
    (problem,) = problems({"read": {"processes": 999}})

    assert problem.startswith('read.processes: 999 is not right; expected at most 256 or "auto" (')
