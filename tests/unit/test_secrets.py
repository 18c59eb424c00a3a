"""Secrets of the settings: outcome by their type, never shown, and read from files, credentials and variables."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from cxr_node import config
from cxr_node.config import ConfigurationError
from cxr_node.domain.secret import SecretText, is_secret
from cxr_node.domain.section import Section, table_types
from cxr_node.ops import example_config
from cxr_node.settings import secrets
from cxr_node.settings.root import Settings
from cxr_node.settings.secrets import is_list, variable_of

ROW = "kim"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A setting that is a secret: its table, its key, and whether it is a list."""

    table: type[Section]
    key: str
    is_list: bool

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition(".")[2]

    def tables(self, **values: object) -> dict[str, Any]:
        """Return tables of a settings file with these values beside the secret."""
        section, _, rest = self.key.partition(".")
        rows, is_row, _ = rest.partition(f".{ROW}.")
        return {section: {rows: [{"name": ROW, **values}]} if is_row else values}

    def of(self, tables: dict[str, Any]) -> object:
        """Return the value of the secret in tables."""
        value: Any = tables
        for part in self.key.split("."):
            value = value[0] if part == ROW else value[part]
        return value


def secrets_of(table: type[Section], key: str = "") -> Iterator[Secret]:
    """Yield every secret of a table and of the tables in it."""
    for name, field in table.model_fields.items():
        field_key = f"{key}.{name}" if key else name
        if is_secret(field.annotation):
            yield Secret(table=table, key=field_key, is_list=is_list(field))
        for nested in table_types(field.annotation):
            yield from secrets_of(nested, f"{field_key}.{ROW}" if is_list(field) else field_key)


SECRETS = list(secrets_of(Settings))
EVERY_SECRET = pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret.key)


def resolved(tables: dict[str, Any], folder: Path, **environment: str) -> secrets.ResolvedTables:
    return secrets.resolve(Settings, tables, folder=folder, environment=environment)


def expected(secret: Secret) -> object:
    return ["sesame"] if secret.is_list else "sesame"


def test_passwords_of_every_part_are_secrets() -> None:
    assert {secret.key for secret in SECRETS} >= {
        "database.url",
        "database.password",
        "archive.bucket_secret_access_key",
        "oidc.client_secret",
        "alert.webhook",
        "alert.mail_password",
        "trace.headers",
        f"receive.users.{ROW}.password_hash",
        f"web.users.{ROW}.password_hash",
    }


def test_a_setting_with_the_name_of_a_secret_is_one_by_its_type() -> None:
    names = re.compile(r"password(?!_characters)|secret|token|headers|webhook|credential|url$|endpoint|issuer")
    plain = {
        f"{name}.{key}"
        for name, section in Settings.model_fields.items()
        for table in table_types(section.annotation)
        for key, field in table.model_fields.items()
        if names.search(key) and not is_secret(field.annotation) and Path not in get_args(field.annotation)
    }

    # The forms of these URLs allow neither user information nor a query; an issuer of Patient IDs is a name.
    assert plain == {"remote.url", "dicomweb.base_url", "adt.issuer"}


@EVERY_SECRET
def test_a_secret_is_read_from_the_file_that_the_settings_name(secret: Secret, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("sesame\n", encoding="utf-8")

    outcome = resolved(secret.tables(**{f"{secret.name}_file": "secret"}), tmp_path)

    assert outcome.problems == ()
    assert secret.of(outcome.tables) == expected(secret)
    assert list(outcome.sources.values()) == [f"the file {tmp_path / 'secret'}"]


@EVERY_SECRET
def test_a_secret_is_read_from_an_environment_variable(secret: Secret, tmp_path: Path) -> None:
    outcome = resolved(secret.tables(), tmp_path, **{variable_of(secret.key): "sesame"})

    assert secret.of(outcome.tables) == expected(secret)


@EVERY_SECRET
def test_a_secret_is_read_from_a_systemd_credential(secret: Secret, tmp_path: Path) -> None:
    (tmp_path / secret.key).write_text("sesame", encoding="utf-8")

    outcome = resolved(secret.tables(), tmp_path, CREDENTIALS_DIRECTORY=str(tmp_path))

    assert secret.of(outcome.tables) == expected(secret)


@EVERY_SECRET
def test_no_text_of_the_settings_shows_a_secret(secret: Secret) -> None:
    annotation = secret.table.model_fields[secret.name].annotation
    kind = annotation if isinstance(annotation, type) and issubclass(annotation, SecretText) else SecretText
    value = kind("postgresql://kim:sesame@host/path?password=sesame")
    values: dict[str, Any] = {secret.name: (value,) if secret.is_list else value}
    table = secret.table.model_construct(**values)

    shown = f"{value} {value!r} {table} {table!r} {table.model_dump_json()} {table.model_dump(mode='json')}"

    assert "sesame" not in shown
    assert "***" in shown
    assert "sesame" in table.canonical_json()


@EVERY_SECRET
def test_the_example_names_the_file_of_a_secret(secret: Secret) -> None:
    assert f"{secret.name}_file" in example_config.text()


def test_the_environment_counts_before_a_credential_and_a_file(tmp_path: Path) -> None:
    for name in ("database.url", "file"):
        (tmp_path / name).write_text(f"sqlite:///{name}", encoding="utf-8")
    tables = {"database": {"url_file": "file"}}
    variable, credentials = {"CXR_NODE_DATABASE_URL": "sqlite:///variable"}, {"CREDENTIALS_DIRECTORY": str(tmp_path)}

    def url(**environment: str) -> object:
        return resolved(tables, tmp_path, **environment).tables["database"]["url"]

    assert url(**variable, **credentials) == "sqlite:///variable"
    assert url(**credentials) == "sqlite:///database.url"
    assert url() == "sqlite:///file"


def problems(folder: Path, text: str) -> list[str]:
    path = folder / "node.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        config.read(path, environment={})
    return caught.value.problems


def test_a_file_that_cannot_be_used_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "long").write_bytes(b"x" * 70_000)

    def problem(value: str) -> str:
        (sentence,) = problems(tmp_path, f"[oidc]\nclient_secret_file = {value}\n")
        assert sentence.startswith(f"oidc.client_secret_file (line 2 of {tmp_path / 'node.toml'}): ")
        return sentence

    assert f"{tmp_path / 'absent'} cannot be read (No such file or directory)" in problem('"absent"')
    assert "is empty" in problem('"empty"')
    assert "cannot be read (it is not text)" in problem('"binary"')
    assert "has more than 65,536 bytes" in problem('"long"')
    assert "expected the name of a file in quotes" in problem("3")


def test_a_secret_in_two_places_of_the_settings_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("sesame", encoding="utf-8")

    (problem,) = problems(tmp_path, '[oidc]\nclient_secret = "open"\nclient_secret_file = "secret"\n')

    place = f"line 2 of {tmp_path / 'node.toml'}"
    assert problem == f"oidc.client_secret and oidc.client_secret_file ({place}): both are set; remove one of them"


def test_a_wrong_secret_of_a_file_is_named_with_the_file_and_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("mysql://kim:sesame@host/cxr", encoding="utf-8")

    (problem,) = problems(tmp_path, '[database]\nurl_file = "url"\n')

    assert problem.startswith(f"database.url (from the file {tmp_path / 'url'}): mysql is not supported")
    assert "sesame" not in problem


def test_the_sources_of_secrets_are_known_by_key(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text('[[web.users]]\nname = "kim"\n', encoding="utf-8")
    password_hash = f"scrypt:16384:8:5:{'0' * 32}:{'0' * 64}"

    loaded = config.read(path, environment={"CXR_NODE_WEB_USERS_KIM_PASSWORD_HASH": password_hash})

    variable = "the environment variable CXR_NODE_WEB_USERS_KIM_PASSWORD_HASH"
    assert loaded.places.sources == {"web.users.kim.password_hash": variable}
    assert loaded.settings.web.users[0].password_hash.get_secret_value() == password_hash


def test_the_password_of_the_database_completes_its_url() -> None:
    url = "postgresql://cxr@db/cxr"
    settings = config.parse({"database": {"url": url, "password": "p@ss/word"}})

    assert settings.database_url == "postgresql://cxr:p%40ss%2Fword@db/cxr"
    assert "ss/word" not in settings.model_dump_json()
    with pytest.raises(ConfigurationError, match=r"database\.password: needs database\.url with a PostgreSQL server"):
        config.parse({"database": {"password": "x"}})


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ({"archive": {"bucket_access_key_id": "x"}}, "archive.bucket_access_key_id and archive.bucket_secret"),
        ({"alert": {"mail_user": "x"}}, "alert.mail_user and alert.mail_password: one is of no use"),
        (
            {"alert": {"mail_user": "x", "mail_password": "y", "mail_host": "mail.example"}},
            "alert.mail_password: needs alert.mail_tls",
        ),
    ],
)
def test_half_a_login_and_one_in_plain_text_are_errors(tables: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config.parse(tables)

    assert [problem[: len(sentence)] for problem in caught.value.problems] == [sentence]


def test_a_changed_secret_changes_the_digest_of_the_settings() -> None:
    one, other = (config.parse({"oidc": {"client_secret": secret}}) for secret in ("one", "other"))

    assert one.model_dump_json() == other.model_dump_json()
    assert json.loads(one.canonical_json()) != json.loads(other.canonical_json())


def test_credentials_that_cannot_be_looked_for_are_a_problem(tmp_path: Path) -> None:
    """As in a folder of another user, which root of a test could read."""
    outcome = resolved({}, tmp_path, CREDENTIALS_DIRECTORY=str(tmp_path / ("x" * 300)))

    assert any(problem.startswith("database.url: the credential") for problem in outcome.problems)
