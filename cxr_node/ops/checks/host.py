"""What can be wrong with the machine of a node: certificates, GPU, ports, files kept, work that does not move."""

import errno
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta

from cxr_node.db.database import Database
from cxr_node.ops.certificates import Certificate, certificates, key_pairs
from cxr_node.ops.checks.node import Check, fine, note, problem
from cxr_node.queries import archived, overview
from cxr_node.queries.overview import StageStatus
from cxr_node.settings.root import Settings
from cxr_node.wiring import process

_SOON = timedelta(days=30)
_STUCK = timedelta(minutes=15)
_LOOKED_AT = 200


def of_certificates(settings: Settings, *, now: datetime) -> Iterator[Check]:
    """Yield how it stands with each certificate that the settings name, and whether each key is its certificate's."""
    found = certificates(settings)
    for each in found:
        yield _certificate(each, now)
    unread = {certificate.path for certificate in found if certificate.not_after is None}
    for pair in key_pairs(settings):
        if pair.certificate in unread:
            continue
        fault = pair.fault()
        if fault:
            to_do = "put the key that the certificate was made with in its place; connections by TLS fail until then"
            yield problem(f"key of {pair.setting}", f"{pair.key}: {fault}", to_do)
        else:
            yield fine(f"key of {pair.setting}", f"{pair.key} is its certificate's")


def _certificate(each: Certificate, now: datetime) -> Check:
    name = f"certificate of {each.setting}"
    if each.not_after is None:
        return problem(name, f"{each.path} cannot be read: {each.fault}", "put a PEM file there that the node may read")
    left = each.not_after - now
    said = f"{each.path} ends on {each.not_after:%Y-%m-%d}"
    if left < timedelta():
        return problem(name, f"{said}, which is past", "put a new one in its place; connections by TLS fail until then")
    if left < _SOON:
        return note(name, f"{said}, in {left.days} days", "put a new one in its place; it is read again by itself")
    return fine(name, said)


def gpu(settings: Settings) -> Check:
    """Return whether the device that is to read is there."""
    import torch

    asked = settings.read.device
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not asked.startswith("cuda"):
        found = f"{there} GPUs" if there else "no GPU: films are read on the CPU, one at a time"
        return fine("GPU", f"read.device is {asked}; {found}")
    number = int(asked.partition(":")[2] or 0)
    if number >= there:
        to_do = 'see that nvidia-smi lists it and that PyTorch is built for it, or set read.device = "auto"'
        return problem("GPU", f"read.device is {asked}, and PyTorch finds {there} GPUs here", to_do)
    free, total = torch.cuda.mem_get_info(number)
    return fine("GPU", f"{torch.cuda.get_device_name(number)}: {free / 2**30:.1f} of {total / 2**30:.1f} GiB free")


def ports(settings: Settings, *, runs: bool) -> Iterator[Check]:
    """Yield whether the node can listen where the settings say, or listens there already."""
    for name, host, port in (
        ("receive.port", settings.receive.host, settings.receive.port),
        ("web.port", settings.web.host, settings.web.port),
    ):
        if runs:
            yield fine(name, "the node is running")
            continue
        fault = _why_not_bound(host, port)
        if not fault:
            yield fine(name, f"{host}:{port} is free")
        elif name == "receive.port":
            yield problem(name, f"{host}:{port}: {fault}", f"stop what listens there, or set {name} to another")
        else:
            yield note(name, f"{host}:{port}: {fault}", f"the page will not be there: set {name} to another")


def _why_not_bound(host: str, port: int) -> str:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            return "another program listens there" if error.errno == errno.EADDRINUSE else error.strerror or "no"
    return ""


def files(settings: Settings, opened: Database) -> Check:
    """Return whether the newest files that the rows promise are there; `cxr-node reconcile` looks at all."""
    with opened.read() as connection:
        keys = archived.newest_keys(connection, limit=_LOOKED_AT)
    archive = process.archive(settings)
    missing = [key for key in keys if key not in archive]
    if missing:
        said = f"{len(missing)} of the newest {len(keys)} are missing, such as {missing[0]}"
        return problem("files", said, "`cxr-node reconcile` names all; bring them back with `cxr-node restore`")
    return fine("files", f"the newest {len(keys)} are there")


def work(opened: Database, *, runs: bool, now: datetime) -> Iterator[Check]:
    """Yield whether work moves, and whether some of it needs a person."""
    with opened.read() as connection:
        queues = overview.queues(connection, now=now)
    failed = sum(queue.failed for queue in queues)
    if failed:
        to_do = "`cxr-node jobs list --state failed` says why; then `cxr-node retry` or `cxr-node requeue`"
        yield note("failed jobs", f"{failed} jobs failed and need a person", to_do)
    else:
        yield fine("failed jobs", "none")
    yield _movement([queue for queue in queues if _is_stuck(queue, now)], runs=runs)


def _is_stuck(queue: StageStatus, now: datetime) -> bool:
    return queue.oldest_due_at is not None and now - queue.oldest_due_at > _STUCK


def _movement(stuck: list[StageStatus], *, runs: bool) -> Check:
    if not stuck:
        return fine("queue", "no job has been due for long")
    said = ", ".join(f"{queue.due} to {queue.stage.value}" for queue in stuck)
    if not runs:
        return note("queue", f"jobs wait for the node, which does not run: {said}", "start it: `cxr-node run`")
    to_do = "the log of that role says why it does not take them; a role that hangs is mended by starting the node anew"
    return problem("queue", f"jobs have been due for more than 15 minutes: {said}", to_do)


def page(settings: Settings) -> Check:
    """Return whether somebody may log in to the page, and whether it is kept from the network."""
    section = settings.web
    if section.host not in ("127.0.0.1", "::1", "localhost") and not section.secure_cookie:
        to_do = "put a proxy with TLS before it, let it listen on 127.0.0.1, and set web.secure_cookie = true"
        return problem("page", f"{section.host} is not this machine alone: passwords would cross the network", to_do)
    elsewhere = f"who has a role at {settings.oidc.issuer}" if settings.oidc.issuer else ""
    if not section.users and not elsewhere:
        return note("page", "nobody may log in", "add [[web.users]]; `cxr-node config password` prints the hash")
    people = f"{len(section.users)} people may log in"
    return fine("page", f"{people}, and {elsewhere}" if elsewhere else people)
