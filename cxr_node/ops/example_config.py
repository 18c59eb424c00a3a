"""Example configuration, generated from the settings: every key with its default and description."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from ipaddress import ip_network
from types import MappingProxyType

from pydantic.fields import FieldInfo

from cxr_node.deliver import destinations
from cxr_node.deliver.destination import DestinationKind
from cxr_node.domain.secret import is_secret
from cxr_node.domain.section import Section, table_types
from cxr_node.priors import sources
from cxr_node.settings.notify import NotifyRuleSection
from cxr_node.settings.operations import PageUserSection
from cxr_node.settings.read import CascadeSection
from cxr_node.settings.receive import CommitmentPeerSection, PeerSection, UrgentSection, UserSection
from cxr_node.settings.results import CharacterSetSection, result_names
from cxr_node.settings.root import Settings
from cxr_node.settings.toml_text import toml_text
from cxr_node.ups import worklists

_HEAD = """\
# All settings of a cxr-node with their defaults, in the order of the main path. Copy this file to cxr-node.toml
# and keep the settings that you change. `cxr-node config check` validates it.
# Relative paths are taken from the folder of the file.
# A secret NAME can be in a file, which NAME_file names, in an environment variable such as CXR_NODE_DATABASE_URL, or in
# a systemd credential such as database.url; docs/reference/security.md has the order.
"""

_NEW_HEAD = """\
# Settings of a cxr-node, written by `cxr-node init`. A line that begins with "# " and a name is a default: remove the
# mark and change the value. `cxr-node config check` validates the file.
# Relative paths are taken from the folder of the file.
# A secret NAME can be in a file, which NAME_file names, in an environment variable such as CXR_NODE_DATABASE_URL, or in
# a systemd credential such as database.url.
"""

_PEER = PeerSection(
    ae_title="DX1",
    addresses=(ip_network("10.0.7.0/24"),),
    maximum_associations=4,
    sop_classes=("DigitalXRayImageStorageForPresentation",),
    films_per_minute=60,
)
_USER = UserSection(name="dx1", password_hash=f"scrypt:16384:8:5:{'0' * 32}:{'0' * 64}")
_ACCOUNT = PageUserSection(
    name="kim",
    password_hash=f"scrypt:16384:8:5:{'0' * 32}:{'0' * 64}",
    sees_films=True,
    sees_identifiers=True,
)
_COMMITMENT_PEER = CommitmentPeerSection(ae_title="DX1", host="10.0.7.11", port=104)
_URGENT = UrgentSection(priority_boost_s=1800, calling_ae_titles=("ER1",), header=("RequestedProcedurePriority=STAT",))
_CASCADE = CascadeSection(
    bundle="densenet121-res224-all",
    views=("PA", "AP"),
    from_age_years=16,
    below_age_years=120,
    finding="lung_opacity",
    least_score=0.3,
)
_NOTIFY = NotifyRuleSection(
    name="opacity",
    findings=("lung_opacity",),
    minimum_score=70.0,
    webhook="https://alerts.example.org/cxr",
    mail_to=("duty@example.org",),
)
_GB18030 = CharacterSetSection(ae_title="DX1", character_sets=("GB18030",))


def text() -> str:
    """Return the example configuration: every setting with its default."""
    return _text(_HEAD, [_section(name, section, lambda _: True) for name, section in Settings()], ())


def new_text(settings: Settings, keys: Collection[str], *, secret_files: Mapping[str, str]) -> str:
    """Return a new settings file: the settings of `keys`, such as receive.port, and all others as comments.

    Destinations are those of the settings. `secret_files` has the file of each secret that is in one, by key.
    """
    sections = [_section(name, section, lambda key: key in keys, secret_files) for name, section in settings]
    return _text(_NEW_HEAD, sections, [_row(row) for row in settings.deliver.destinations])


def _text(head: str, sections: Sequence[str], rows: Sequence[str]) -> str:
    parts = [head, *sections]
    parts.append("# Several bundles a film. Uncomment this, or repeat it.\n")
    parts.append(_table("read.cascade", _CASCADE))
    parts.append("# Senders. Uncomment one of these, or repeat them.\n")
    senders = (("receive.peers", _PEER), ("receive.users", _USER), ("receive.commitment_peers", _COMMITMENT_PEER))
    parts.extend(_table(key, example) for key, example in senders)
    parts.append("# Priority rules. Uncomment this, or repeat it.\n")
    parts.append(_table("receive.urgent", _URGENT))
    parts.append(_table("report.character_sets", _GB18030))
    parts.append("# Users of the web page beside those of the database. Uncomment this, or repeat it.\n")
    parts.append(_table("web.users", _ACCOUNT))
    parts.append("# Archives that are asked for prior films. Uncomment one of these, or repeat them.\n")
    parts.extend(_table("priors.sources", kind.example()) for kind in sources.SOURCES)
    parts.append("# Worklists whose steps are performed. Uncomment one of these, or repeat them.\n")
    parts.extend(_table("ups.worklists", kind.example()) for kind in worklists.WORKLISTS)
    parts.append("# Archives from which films of steps are retrieved. Uncomment one of these, or repeat them.\n")
    parts.extend(_table("ups.sources", kind.example()) for kind in sources.SOURCES)
    parts.append("# Notifications of findings. Uncomment this, or repeat it.\n")
    parts.append(_table("notify.rules", _NOTIFY))
    names = f"# Names in `results`: {', '.join(result_names())}."
    parts.append(f"# Destinations. Uncomment one of these, or repeat them.\n{names}\n")
    parts.extend(_table("deliver.destinations", kind.example()) for kind in destinations.DESTINATIONS)
    return "\n".join([*parts, *rows])


def _section(
    table: str, section: Section, is_set: Callable[[str], bool], secret_files: Mapping[str, str] = MappingProxyType({})
) -> str:
    lines = [f"# {type(section).__doc__}", f"[{table}]"]
    for name, field in _fields(section):
        if _is_repeated_table(field):
            continue
        mark = "" if is_set(f"{table}.{name}") else "# "
        lines += [
            f"# {_description(name, field)}",
            f"{mark}{name} = {toml_text(getattr(section, name), shows_secrets=True)}",
        ]
        if file := secret_files.get(f"{table}.{name}"):
            lines.append(f"{name}_file = {json.dumps(file)}")
    return "\n".join(lines) + "\n"


def _row(row: DestinationKind) -> str:
    """Return a destination: what differs from the defaults, and the other settings as comments."""
    lines = [f"# {type(row).__doc__}", "[[deliver.destinations]]"]
    for name, field in _fields(row):
        value = getattr(row, name)
        mark = "# " if value == field.default and name != "kind" else ""
        lines.append(f"{mark}{name} = {toml_text(value, shows_secrets=True)}  # {_description(name, field)}")
    return "\n".join(lines) + "\n"


def _table(key: str, example: Section) -> str:
    lines = [f"# {type(example).__doc__}", f"# [[{key}]]"]
    lines += [
        f"# {name} = {toml_text(getattr(example, name), shows_secrets=True)}  # {_description(name, field)}"
        for name, field in _fields(example)
    ]
    return "\n".join(lines) + "\n"


def _description(name: str, field: FieldInfo) -> str:
    return f"{field.description} Secret: or {name}_file." if is_secret(field.annotation) else str(field.description)


def _fields(section: Section) -> list[tuple[str, FieldInfo]]:
    """Return the fields of a table, those of TLS last."""
    return sorted(type(section).model_fields.items(), key=lambda field: field[0].startswith("tls_"))


def _is_repeated_table(field: FieldInfo) -> bool:
    return isinstance(field.default, tuple) and bool(table_types(field.annotation))
