"""What would keep a role from starting, found before any role is started: certificates, ports, bundles."""

import os
import socket
from collections.abc import Collection, Iterator
from importlib.util import find_spec
from pathlib import Path

from cxr_node.domain.concepts import CARDIOMEGALY_BY_RATIO
from cxr_node.infer import bundle_registry
from cxr_node.ops.certificates import certificates, key_pairs
from cxr_node.settings.read import ReadSection
from cxr_node.settings.root import Settings
from cxr_node.wiring.role_names import Role


def faults(settings: Settings, roles: Collection[Role]) -> list[str]:
    """Return a sentence for each setting with which a role could not start: key, value, what is wrong, what to do."""
    return [*_tls_faults(settings), *_bundle_faults(settings, roles), *_missing_extras(settings, roles)]


def unknown_findings(settings: Settings) -> list[str]:
    """Return a sentence for each rule that names a finding which no bundle of this host offers.

    No role fails by it: a host without the activated bundle installs it from the archive after its start.
    """
    return [*_unknown_in_rules(settings), *_unknown_in_cascade(settings.read, settings.node.bundles_folder)]


def port_faults(settings: Settings, roles: Collection[Role]) -> list[str]:
    """Return a sentence for each port that another program uses; roles of an earlier start must have ended."""
    listeners = [
        (Role.RECEIVE, "receive", settings.receive.host, settings.receive.port),
        (Role.ADMIN, "web", settings.web.host, settings.web.port),
    ]
    if settings.dicomweb.enabled:
        listeners.append((Role.RECEIVE, "dicomweb", settings.dicomweb.host, settings.dicomweb.port))
    if settings.adt.enabled:
        listeners.append((Role.RECEIVE, "adt", settings.adt.host, settings.adt.port))
    faults = (_port_fault(key, host, port) for role, key, host, port in listeners if role in roles and port)
    return [fault for fault in faults if fault]


def _tls_faults(settings: Settings) -> Iterator[str]:
    for certificate in certificates(settings):
        if certificate.fault:
            yield f"{certificate.setting}: {certificate.path} cannot be used ({certificate.fault}); name a PEM file"
    for pair in key_pairs(settings):
        fault = pair.fault()
        if fault and pair.certificate.is_file():
            yield f"{pair.setting}.tls_key: {pair.key} cannot be used ({fault}); name the key of {pair.certificate}"


def _port_fault(key: str, host: str, port: int) -> str:
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else "not available"
        return (
            f"{key}.port: port {port} of {host} is not available ({reason}); end the program that listens there, or "
            "set another port"
        )
    return ""


def _bundle_faults(settings: Settings, roles: Collection[Role]) -> Iterator[str]:
    if Role.READ not in roles:
        return
    read = settings.read
    wanted = {
        "read.bundle": read.bundle,
        "read.shadow": read.shadow,
        "remote.fallback_bundle": settings.remote.fallback_bundle,
    }
    wanted |= {f"read.cascade.{number}.bundle": row.bundle for number, row in enumerate(read.cascade)}
    for key, name in wanted.items():
        if name and not bundle_registry.exists(str(name), settings.node.bundles_folder):
            names = ", ".join(bundle_registry.known(settings.node.bundles_folder))
            yield (
                f"{key}: there is no bundle {str(name)!r}; name one of {names}, or a folder with a card.toml, or "
                "install it with `cxr-node bundle install`"
            )


def _missing_extras(settings: Settings, roles: Collection[Role]) -> Iterator[str]:
    """Yield a sentence for each setting that needs a library which is not installed."""
    reads, serves = Role.READ in roles, Role.ADMIN in roles
    needed = (
        ("read.engine", "openvino", "openvino", reads and settings.read.engine == "openvino"),
        ("archive.bucket", "s3", "obstore", bool(settings.archive.bucket)),
        ("oidc.issuer", "oidc", "joserfc", serves and bool(settings.oidc.issuer)),
        ("trace.endpoint", "otel", "opentelemetry", serves and bool(settings.trace.endpoint)),
    )
    for key, extra, module, is_needed in needed:
        if is_needed and not find_spec(module):
            yield f"{key}: needs the extra {extra}: pip install 'cxr-node[{extra}]'"


_OTHERS = "name one of them, or install its bundle with `cxr-node bundle install`"


def _unknown_in_rules(settings: Settings) -> Iterator[str]:
    rules = [(f"notify.rules.{rule.name}.findings", rule.findings) for rule in settings.notify.rules]
    rules += [
        (f"deliver.destinations.{row.name}.when.findings", row.when.findings) for row in settings.deliver.destinations
    ]
    if not any(keys for _, keys in rules):
        return
    offered = dict.fromkeys((*_offered(settings), CARDIOMEGALY_BY_RATIO))
    for setting, keys in rules:
        for key in keys:
            if key not in offered:
                known = ", ".join(offered)
                yield f"{setting}: no bundle of this host has the finding {key!r}; there are {known}; {_OTHERS}"


def _offered(settings: Settings) -> list[str]:
    """Return the keys of findings of every bundle of this host, and of those that the settings name by a folder."""
    folder, read = settings.node.bundles_folder, settings.read
    named = (read.bundle, read.shadow, settings.remote.fallback_bundle, *(row.bundle for row in read.cascade))
    bundles = (*bundle_registry.known(folder), *(str(name) for name in named if name))
    return [key for name in dict.fromkeys(bundles) for key in bundle_registry.finding_keys(name, folder)]


def _unknown_in_cascade(read: ReadSection, folder: Path) -> Iterator[str]:
    """Yield a sentence for each condition on a finding of no earlier bundle; an empty one may be any bundle."""
    earlier: dict[str, None] = {}
    for number, row in enumerate(read.cascade):
        if row.finding and number and row.finding not in earlier:
            yield (
                f"read.cascade.{number}.finding: no earlier bundle of the cascade has the finding {row.finding!r}; "
                f"there are {', '.join(earlier) or 'none'}; name one of them, or move the entry down"
            )
        names = [str(row.bundle)] if row.bundle else [str(read.bundle), *bundle_registry.known(folder)]
        earlier |= dict.fromkeys(key for name in names for key in bundle_registry.finding_keys(name, folder))
