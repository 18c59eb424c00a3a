"""Remote reader from settings: server, model, fallback."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_node.infer.remote.client import RemoteServer
from cxr_node.infer.remote.reader import OnRequest, RemoteReader, uncounted
from cxr_node.infer.remote_card import RemoteNetwork
from cxr_node.reading.network import Network
from cxr_node.reading.remote import RemoteSwitch
from cxr_node.settings.remote import RemoteSection
from cxr_node.settings.root import Settings
from cxr_node.wiring.active_bundle import ActiveBundle
from cxr_node.wiring.process import Process

if TYPE_CHECKING:
    from cxr_node.infer.card import Card
    from cxr_node.infer.reader import Reader

OpenLocal = Callable[[Process, Path | None], "Reader"]
"""Opens and warms up the bundle in a folder, or that of the settings, on this host."""


class RemoteReadNetwork:
    """The network of the next film with read.kind = "remote"."""

    batch_size = 1

    def __init__(self, process: Process, open_local: OpenLocal) -> None:
        self._bundle = ActiveBundle(process, open_reader=partial(open_network, process, open_local=open_local))

    def poll(self) -> None:
        """Load another bundle in the background if one was activated."""
        self._bundle.poll()

    def current(self) -> Network:
        """Return the network of the next film; raise Held if there is none for now."""
        reader = self._bundle.reader
        return reader.select() if isinstance(reader, RemoteSwitch) else reader

    last = current

    def held_until(self) -> datetime | None:
        """Return until when no film can be read; None if one can."""
        reader = self._bundle.reader
        return reader.held_until() if isinstance(reader, RemoteSwitch) else None


def open_network(process: Process, folder: Path | None = None, *, open_local: OpenLocal) -> "Reader | RemoteSwitch":
    """Return a warmed-up reader of the bundle in `folder` or of the settings' bundle, here or at the server.

    A bundle in `folder` whose network is on this host is read here: it was activated in place of the settings.

    Raises
    ------
    BundleError
        If the bundle cannot be used.
    """
    from cxr_node.infer import bundle, bundle_registry

    section = process.settings.read
    is_here = folder is not None and bool(bundle.read_card(folder).network.file)
    if section.kind == "local" or is_here:
        return open_local(process, folder)
    path = folder or bundle_registry.find(str(section.bundle), process.settings.node.bundles_folder)
    return remote_switch(process, path, open_local=open_local)


def remote_switch(process: Process, folder: Path, *, open_local: OpenLocal) -> RemoteSwitch:
    """Return the remote reader of the bundle in `folder` with the fallback of the settings, warmed up.

    An unavailable server is no error: films wait, or the fallback reads.

    Raises
    ------
    BundleError
        If the bundle, the settings or the fallback cannot be used.
    """
    from cxr_node.infer import bundle

    settings, state = process.settings, process.remote_state
    remote = remote_reader(settings, bundle.read_card(folder), on_request=state.note_request)
    local = None
    if settings.remote.fallback == "local":
        local = open_local(process, fallback_folder(settings, folder))
        preparation = f"{local.identity.preparation}, in place of {remote.remote_model}"
        local.identity = replace(local.identity, preparation=preparation)
    switch = RemoteSwitch(remote, local=local, clock=process.clock, on_change=state.note_trouble)
    switch.warm_up()
    return switch


def fallback_folder(settings: Settings, folder: Path) -> Path:
    """Return the bundle of the fallback: that of the settings, or the one in `folder`.

    Raises
    ------
    BundleError
        If its network is not on this host.
    """
    from cxr_node.infer import bundle, bundle_registry

    section = settings.remote
    if section.fallback_bundle:
        folder = bundle_registry.find(str(section.fallback_bundle), settings.node.bundles_folder)
    if not bundle.read_card(folder).network.file:
        raise bundle.BundleError(
            f"bundle {folder}: its network is not on this host, so it cannot be the fallback; name another in "
            'remote.fallback_bundle, or set remote.fallback = "hold"'
        )
    return folder


def remote_reader(settings: Settings, card: "Card", *, on_request: OnRequest = uncounted) -> RemoteReader:
    """Return the reader at the server of the settings; nothing is sent yet.

    Raises
    ------
    BundleError
        If neither card nor settings name the model, or they contradict each other.
    """
    from cxr_node.infer.bundle import BundleError

    section = settings.remote
    if not section.url:
        raise BundleError(f"bundle {card.name} runs on an inference server: set remote.url")
    return RemoteReader(
        card,
        _model(section, card),
        remote_server(section),
        binary=section.encoding == "binary",
        on_request=on_request,
    )


def remote_server(section: RemoteSection) -> RemoteServer:
    """Return the server of the settings."""
    return RemoteServer(
        url=section.url,
        tls=section.tls_peer,
        token_file=section.token_file,
        connect_timeout_s=section.connect_timeout_s,
        timeout_s=section.timeout_s,
        maximum_response_bytes=section.maximum_response_bytes,
    )


def _model(section: RemoteSection, card: "Card") -> RemoteNetwork:
    """Return model and version of the card; for a card without, those of the settings."""
    from cxr_node.infer.bundle import BundleError

    stated = card.network.remote
    if stated is None:
        if not section.model:
            raise BundleError(
                f"bundle {card.name} {card.version}: its card names no remote model; "
                "set remote.model and remote.model_version"
            )
        return RemoteNetwork(model=section.model, version=section.model_version)
    if section.model and (section.model, section.model_version) != (stated.model, stated.version):
        raise BundleError(
            f"bundle {card.name} {card.version}: its card names {stated}, the settings {section.model} version "
            f"{section.model_version}; leave remote.model and remote.model_version empty, or correct them"
        )
    return stated
