"""From a file to settings, or to sentences that say which keys are wrong and what was expected."""

import difflib
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from cxr_node.settings.operations import AuditSection, OidcSection, PageUserSection
from cxr_node.settings.receive import CommitmentPeerSection, PeerSection, ReceiveSection, UrgentSection, UserSection
from cxr_node.settings.results import CharacterSetSection, CStoreSection, FolderSection
from cxr_node.settings.root import Settings
from cxr_node.settings.section import Section


class ConfigurationError(Exception):
    """The configuration cannot be used; the sentences say which keys are wrong, and what was expected."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(path: Path) -> Settings:
    """Read the settings of a TOML file.

    Relative folders in it are taken from the file's own folder.

    Raises
    ------
    ConfigurationError
        If the file cannot be read or a setting is wrong.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read ({error.strerror}); name the file with --config"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{path}: not TOML: {error}"]) from error
    return _anchored(parse(tables), path.resolve().parent)


def parse(tables: dict[str, Any]) -> Settings:
    """Return the settings that `tables` hold; what is absent has its default.

    Raises
    ------
    ConfigurationError
        If a setting is wrong, with one sentence for each.
    """
    try:
        settings = Settings.model_validate(tables)
    except ValidationError as error:
        raise ConfigurationError([_sentence(dict(each)) for each in error.errors()]) from None
    contradictions = [
        *_twice(settings),
        *_half_tls(settings),
        *_half_oidc(settings.oidc),
        *_half_port(settings.receive),
    ]
    if contradictions:
        raise ConfigurationError(contradictions)
    return settings


def _twice(settings: Settings) -> list[str]:
    named = {
        "deliver.destinations": [destination.name for destination in settings.deliver.destinations],
        "report.character_sets": [each.ae_title for each in settings.report.character_sets],
        "receive.users": [user.name for user in settings.receive.users],
        "web.users": [user.name for user in settings.web.users],
        "receive.commitment_peers": [asker.ae_title for asker in settings.receive.commitment_peers],
    }
    return [
        f"{key}: the name {name!r} is there twice"
        for key, names in named.items()
        for name in sorted({name for name in names if names.count(name) > 1})
    ]


def _half_tls(settings: Settings) -> list[str]:
    """Return where a setting of TLS stands without another that it needs: such a node would speak in the open."""
    receive, audit = settings.receive, settings.audit
    problems: list[str] = []
    if bool(receive.tls_certificate) != bool(receive.tls_key):
        problems.append("receive.tls_certificate and receive.tls_key: one is of no use without the other")
    if receive.tls_peers_ca and not receive.tls_certificate:
        problems.append("receive.tls_peers_ca: needs receive.tls_certificate")
    if receive.users and not receive.tls_certificate:
        problems.append(
            "receive.users: needs receive.tls_certificate, or passwords would cross the network in the open"
        )
    if any(peer.certificates for peer in receive.peers) and not receive.tls_peers_ca:
        problems.append("receive.peers.certificates: needs receive.tls_peers_ca, or nobody is asked for a certificate")
    if audit.syslog_host and audit.syslog_transport == "tls" and not audit.tls_ca:
        problems.append('audit.syslog_host: needs audit.tls_ca, or syslog_transport = "tcp", which hides nothing')
    called: dict[str, CStoreSection | CommitmentPeerSection | AuditSection] = {
        f"deliver.destinations.{number}": destination
        for number, destination in enumerate(settings.deliver.destinations)
        if isinstance(destination, CStoreSection)
    }
    called |= {f"receive.commitment_peers.{number}": asker for number, asker in enumerate(receive.commitment_peers)}
    for key, section in (called | {"audit": audit}).items():
        problems += _half_peer(key, section)
    return problems


def _half_oidc(section: OidcSection) -> list[str]:
    """Return what is missing for logins by OpenID Connect, if they are wanted."""
    if not section.issuer:
        return []
    problems: list[str] = []
    if not section.client_id:
        problems.append("oidc.client_id: must be set where oidc.issuer is")
    if "openid" not in section.scopes:
        problems.append('oidc.scopes: must hold "openid", or the provider names nobody')
    if not section.viewers and not section.operators:
        problems.append("oidc.viewers and oidc.operators: name a role in one of them, or nobody may log in")
    return problems


def _half_port(section: ReceiveSection) -> list[str]:
    if section.processes > 1 and not section.port:
        return ["receive.port: must be named where receive.processes share it"]
    return []


def _half_peer(key: str, section: CStoreSection | CommitmentPeerSection | AuditSection) -> list[str]:
    problems: list[str] = []
    if bool(section.tls_certificate) != bool(section.tls_key):
        problems.append(f"{key}.tls_certificate and {key}.tls_key: one is of no use without the other")
    if section.tls_certificate and not section.tls_ca:
        problems.append(f"{key}.tls_certificate: needs {key}.tls_ca")
    return problems


def _anchored(settings: Settings, folder: Path) -> Settings:
    """Return `settings` with every relative folder taken from `folder`. A bundle without a slash is a built-in name."""
    node, read, deliver = settings.node, settings.read, settings.deliver
    bundle, shadow = (str(folder / name) if "/" in name else name for name in (read.bundle, read.shadow))
    destinations = tuple(
        each.model_copy(update={"folder": folder / each.folder})
        if isinstance(each, FolderSection)
        else _with_tls_files(each, folder)
        for each in deliver.destinations
    )
    return settings.model_copy(
        update={
            "node": node.model_copy(update={"data_folder": folder / node.data_folder}),
            "receive": _with_tls_files(settings.receive, folder).model_copy(
                update={"askers": tuple(_with_tls_files(each, folder) for each in settings.receive.commitment_peers)}
            ),
            "read": read.model_copy(update={"bundle": bundle, "shadow": shadow}),
            "audit": _with_tls_files(settings.audit, folder),
            "oidc": _with_tls_files(settings.oidc, folder),
            "deliver": deliver.model_copy(update={"destinations": destinations}),
        }
    )


_Secured = TypeVar("_Secured", ReceiveSection, CStoreSection, CommitmentPeerSection, AuditSection, OidcSection)


def _with_tls_files(section: _Secured, folder: Path) -> _Secured:
    """Return `section` with the files that it names for TLS taken from `folder`."""
    keys = {"tls_certificate", "tls_key", "tls_ca", "tls_peers_ca"} & type(section).model_fields.keys()
    named = {key: getattr(section, key) for key in keys}
    return section.model_copy(update={key: str(folder / name) for key, name in named.items() if name})


def _sentence(error: dict[str, Any]) -> str:
    """Return one sentence: the key, its value, what was expected, and the nearest right key."""
    location = tuple(part for part in error["loc"] if part not in ("cstore", "folder") or part == error["loc"][-1])
    key = ".".join(str(part) for part in location)
    match error["type"]:
        case "extra_forbidden":
            near = difflib.get_close_matches(str(location[-1]), _keys_beside(location), n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else "; config.example.toml has every setting"
            return f"{key}: there is no such setting{hint}"
        case "missing":
            return f"{key}: must be set ({_description(location)})"
        case "union_tag_invalid" | "union_tag_not_found":
            return f'{key}.kind: must be set to "cstore" or "folder" (how results travel)'
        case "value_error":
            return f"{key}: {str(error['msg']).removeprefix('Value error, ')} ({_description(location)})"
        case _ if location[-1] == "password_hash":  # what stands there may be a password
            return f"{key}: not a password hash ({_description(location)})"
        case _:
            expected = str(error["msg"]).removeprefix("Input should be ")
            return f"{key}: {error['input']!r} is not right; expected {expected} ({_description(location)})"


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    section = _section(location[:-1])
    return sorted({name for model in section for name in model.model_fields})


def _description(location: tuple[int | str, ...]) -> str:
    for model in _section(location[:-1]):
        field: FieldInfo | None = model.model_fields.get(str(location[-1]))
        if field is not None and field.description:
            return field.description
    return "see config.example.toml"


def _section(location: tuple[int | str, ...]) -> list[type[Section]]:
    """Return the tables that `location` may name: several where a table is of one of several kinds."""
    if not location:
        return [Settings]
    if location[:2] in _REPEATED:
        return _REPEATED[location[:2]]
    field = Settings.model_fields.get(str(location[0]))
    table = field.annotation if field else None
    return [table] if isinstance(table, type) and issubclass(table, Section) else []


_REPEATED: dict[tuple[int | str, ...], list[type[Section]]] = {
    ("deliver", "destinations"): [CStoreSection, FolderSection],
    ("receive", "peers"): [PeerSection],
    ("receive", "askers"): [CommitmentPeerSection],
    ("receive", "urgent"): [UrgentSection],
    ("receive", "users"): [UserSection],
    ("web", "users"): [PageUserSection],
    ("report", "character_sets"): [CharacterSetSection],
}
"""Tables that may be there more than once."""
