"""Checks of host and operation: certificates, GPU, ports, archive files, overdue jobs, web login."""

import errno
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta

from cxr_node.db.database import Database
from cxr_node.ops.certificates import Certificate, certificates, key_pairs
from cxr_node.ops.checks.node import Check, note, ok, problem
from cxr_node.queries import archived, overview
from cxr_node.queries.overview import StageStatus
from cxr_node.settings.root import Settings
from cxr_node.wiring.process import Process

_EXPIRY_NOTICE = timedelta(days=30)
_OVERDUE = timedelta(minutes=15)
_NEWEST_FILES = 200


def certificate_checks(settings: Settings, *, now: datetime) -> Iterator[Check]:
    """Check each certificate that the settings name, and that each key fits its certificate."""
    named = certificates(settings)
    for certificate in named:
        yield _certificate(certificate, now)
    unread = {certificate.path for certificate in named if certificate.not_after is None}
    for pair in key_pairs(settings):
        if pair.certificate in unread:
            continue
        fault = pair.fault()
        if fault:
            next_step = "replace it by the key of the certificate; TLS connections fail until then"
            yield problem(f"key of {pair.setting}", f"{pair.key}: {fault}", next_step)
        else:
            yield ok(f"key of {pair.setting}", f"{pair.key} fits its certificate")


def _certificate(certificate: Certificate, now: datetime) -> Check:
    name, path = f"certificate of {certificate.setting}", certificate.path
    if certificate.not_after is None:
        return problem(name, f"{path} cannot be read: {certificate.fault}", "provide a PEM file that the node may read")
    left = certificate.not_after - now
    expiry = f"{certificate.not_after:%Y-%m-%d}"
    if left < timedelta():
        return problem(name, f"{path} expired on {expiry}", "replace it; TLS connections fail until then")
    if left < _EXPIRY_NOTICE:
        return note(name, f"{path} expires on {expiry}, in {left.days} days", "replace it; the node reloads it")
    return ok(name, f"{path} expires on {expiry}")


def gpu(settings: Settings) -> Check:
    """Check that the device of read.device exists."""
    import torch

    device = settings.read.device
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not device.startswith("cuda"):
        gpus = f"{count} GPUs" if count else "no GPU: films are read on the CPU, one at a time"
        return ok("GPU", f"read.device is {device}; {gpus}")
    number = int(device.partition(":")[2] or 0)
    if number >= count:
        next_step = 'check that nvidia-smi lists it and that PyTorch supports it, or set read.device = "auto"'
        return problem("GPU", f"read.device is {device}, but PyTorch finds {count} GPUs", next_step)
    free, total = torch.cuda.mem_get_info(number)
    return ok("GPU", f"{torch.cuda.get_device_name(number)}: {free / 2**30:.1f} of {total / 2**30:.1f} GiB free")


def ports(settings: Settings, *, is_running: bool) -> Iterator[Check]:
    """Check that the configured ports are free, or that the node runs."""
    listeners = [
        ("receive.port", settings.receive.host, settings.receive.port),
        ("web.port", settings.web.host, settings.web.port),
    ]
    if settings.dicomweb.enabled:
        listeners.append(("dicomweb.port", settings.dicomweb.host, settings.dicomweb.port))
    if settings.adt.enabled:
        listeners.append(("adt.port", settings.adt.host, settings.adt.port))
    for name, host, port in listeners:
        if is_running:
            yield ok(name, "the node is running")
            continue
        fault = _bind_fault(host, port)
        if not fault:
            yield ok(name, f"{host}:{port} is free")
        elif name != "web.port":
            yield problem(name, f"{host}:{port}: {fault}", f"stop the other program, or set {name} to another port")
        else:
            yield note(name, f"{host}:{port}: {fault}", f"the web server cannot start: set {name} to another port")


def _bind_fault(host: str, port: int) -> str:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            return "another program listens on it" if error.errno == errno.EADDRINUSE else error.strerror or "no"
    return ""


def files(process: Process) -> Check:
    """Check that the newest files named by rows are in the archive; `cxr-node reconcile` checks all."""
    with process.database.read() as connection:
        keys = archived.newest_keys(connection, limit=_NEWEST_FILES)
    missing = [key for key in keys if key not in process.archive]
    if missing:
        message = f"{len(missing)} of the newest {len(keys)} are missing, such as {missing[0]}"
        return problem("files", message, "list all with `cxr-node reconcile`; restore them from a backup")
    return ok("files", f"the newest {len(keys)} are in the archive")


def jobs(opened: Database, *, is_running: bool, now: datetime) -> Iterator[Check]:
    """Check for failed jobs, and for jobs that are due but not claimed."""
    with opened.read() as connection:
        queues = overview.queues(connection, now=now)
    failed = sum(queue.failed for queue in queues)
    if failed:
        next_step = "see `cxr-node jobs list --state failed`; then `cxr-node retry` or `cxr-node requeue`"
        yield note("failed jobs", f"{failed} jobs failed", next_step)
    else:
        yield ok("failed jobs", "none")
    overdue = [
        queue for queue in queues if queue.oldest_ready_at is not None and now - queue.oldest_ready_at > _OVERDUE
    ]
    yield _overdue_jobs(overdue, is_running=is_running)


def _overdue_jobs(overdue: list[StageStatus], *, is_running: bool) -> Check:
    if not overdue:
        return ok("queue", "no job is overdue")
    counts = ", ".join(f"{queue.stage.value} {queue.ready}" for queue in overdue)
    if not is_running:
        return note("queue", f"jobs are due, but the node does not run: {counts}", "start it: `cxr-node run`")
    next_step = "see the log of that role; restart the node if the role hangs"
    return problem("queue", f"jobs have been due for more than 15 minutes: {counts}", next_step)


def web(settings: Settings, *, stored_users: int) -> Check:
    """Check that the web server is not exposed without TLS, and that someone may log in."""
    section = settings.web
    if section.host not in ("127.0.0.1", "::1", "localhost") and not section.secure_cookie:
        next_step = "use a reverse proxy with TLS, listen on 127.0.0.1, and set web.secure_cookie = true"
        return problem("web", f"{section.host} is not a local address: passwords would cross the network", next_step)
    provider = f"people with a role at {settings.oidc.issuer}" if settings.oidc.issuer else ""
    count = len(section.users) + stored_users
    if not count and not provider:
        return note("web", "nobody may log in", "add a user: `cxr-node user add NAME --role operator`")
    users = f"{count} users may log in"
    return ok("web", f"{users}, and {provider}" if provider else users)
