"""Settings that name senders or called AE titles which [receive] does not admit: no film would meet them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cxr_node.settings.receive import ReceiveSection
    from cxr_node.settings.root import Settings


def unknown_senders(settings: "Settings") -> Iterator[str]:
    """Yield a sentence for each setting with an AE title that is not admitted."""
    receive = settings.receive
    for peer in receive.peers:
        if receive.calling_ae_titles and peer.ae_title not in receive.calling_ae_titles:
            yield (
                f"receive.peers.{peer.ae_title}.ae_title: receive.calling_ae_titles does not permit it; add "
                f"{peer.ae_title!r} there, or empty that list"
            )
    admitted = _admitted(settings)
    named = ((key, title) for key, titles in _named(settings) for title in titles if admitted)
    for key, title in named:
        if title not in admitted:
            yield (
                f"{key}: [receive] admits no {title!r}; it admits {', '.join(sorted(admitted))}; name one of these, or "
                "add it to receive.peers or receive.calling_ae_titles"
            )
    if receive.require_called_ae_title:
        yield from _never_called(receive)


def _never_called(receive: "ReceiveSection") -> Iterator[str]:
    for number, row in enumerate(receive.urgent):
        for title in row.called_ae_titles:
            if title != receive.ae_title:
                yield (
                    f"receive.urgent.{number}.called_ae_titles: with receive.require_called_ae_title only "
                    f"{receive.ae_title!r} is called, not {title!r}; remove it"
                )


def _admitted(settings: "Settings") -> set[str]:
    """Return the AE titles whose films are received, by C-STORE or STOW-RS; empty: those of any sender."""
    receive = settings.receive
    peers = {peer.ae_title for peer in receive.peers}
    permitted = set(receive.calling_ae_titles)
    admitted = peers & permitted if peers and permitted else peers | permitted
    return admitted | set(settings.dicomweb.senders) if admitted and settings.dicomweb.enabled else admitted


def _named(settings: "Settings") -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the key of each setting that names senders, with their AE titles."""
    for number, urgent in enumerate(settings.receive.urgent):
        yield f"receive.urgent.{number}.calling_ae_titles", urgent.calling_ae_titles
    for asks in settings.receive.commitment_peers:
        yield f"receive.commitment_peers.{asks.ae_title}.ae_title", (asks.ae_title,)
    for row in settings.report.character_sets:
        yield f"report.character_sets.{row.ae_title}.ae_title", (row.ae_title,) if row.ae_title else ()
    yield "corrections.notes_from", settings.corrections.notes_from
    if settings.constancy.at and not settings.constancy.host:
        yield "constancy.calling_ae_title", (settings.constancy.calling_ae_title,)
    for destination in settings.deliver.destinations:
        yield f"deliver.destinations.{destination.name}.when.calling_ae_titles", destination.when.calling_ae_titles
