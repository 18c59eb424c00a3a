"""What would keep a role from starting, found before any role is started: certificates, ports, bundles."""

import os
import socket
from collections.abc import Collection, Iterator

from cxr_node.infer import bundle_registry
from cxr_node.ops.certificates import certificates, key_pairs
from cxr_node.settings.root import Settings
from cxr_node.wiring.role_names import Role


def faults(settings: Settings, roles: Collection[Role]) -> list[str]:
    """Return a sentence for each setting with which a role could not start: key, value, what is wrong, what to do."""
    return [*_tls_faults(settings), *_bundle_faults(settings, roles)]


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
    wanted = {"read.bundle": read.bundle, "read.shadow": read.shadow}
    wanted |= {f"read.cascade.{number}.bundle": row.bundle for number, row in enumerate(read.cascade)}
    for key, name in wanted.items():
        if name and not bundle_registry.exists(str(name), settings.node.bundles_folder):
            names = ", ".join(bundle_registry.known(settings.node.bundles_folder))
            yield (
                f"{key}: there is no bundle {str(name)!r}; name one of {names}, or a folder with a card.toml, or "
                "install it with `cxr-node bundle install`"
            )
