"""Associations that sending threads hold for their next object, since opening one costs more than sending a report."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cxr_node.deliver.peer import Peer
from cxr_node.domain.identifiers import Uid

if TYPE_CHECKING:
    from pynetdicom.association import Association

Context = tuple[Uid, tuple[Uid, ...]]
"""A proposed presentation context: SOP Class and transfer syntaxes."""

_MAXIMUM_OBJECTS = 200
"""Objects on one association: a peer that distributes associations gets new ones."""
_MAXIMUM_CONTEXTS = 64
"""Of the 128 that PS3.8 section 9.3.2.2 has numbers for."""


@dataclass(slots=True, kw_only=True, eq=False)
class HeldAssociation:
    """An established association with `peer`, for which `contexts` were proposed; `objects` were sent on it."""

    peer: Peer
    contexts: frozenset[Context]
    association: "Association"
    objects: int = 0
    _stack: ExitStack = field(default_factory=ExitStack)

    @property
    def is_reused(self) -> bool:
        """Whether an object was sent on it before: the peer may have ended it meanwhile."""
        return self.objects > 0

    @property
    def has_timed_out(self) -> bool:
        """Whether the peer has left a request without a response for the whole time-out."""
        from cxr_node.net.scu import has_timed_out

        return has_timed_out(self.association)

    def end(self) -> None:
        """Release it."""
        self._stack.close()


class HeldAssociations:
    """At most one association for each thread, released before the thread opens another. Thread-safe.

    A new association is proposed the contexts of earlier objects to the peer too, so that the results of a study, which
    are of several SOP Classes, need one association.
    """

    def __init__(self) -> None:
        self._thread = threading.local()
        self._lock = threading.Lock()
        self._contexts: dict[str, dict[Context, None]] = {}

    @property
    def is_holding(self) -> bool:
        """Whether this thread holds an association."""
        return self._held is not None

    @contextmanager
    def association(self, peer: Peer, contexts: Sequence[Context]) -> Iterator[HeldAssociation]:
        """Return the association of this thread, or a new one, with `peer` and for `contexts` at least.

        It is held after the block, unless the block raises.

        Raises
        ------
        DestinationUnreachable, RetryLater, DeliveryRejected
            As `Peer.association`.
        """
        held = self._held
        if held is None or not _serves(held, peer, contexts):
            self.release()
            held = self._opened(peer, contexts)
        try:
            yield held
        except BaseException:
            self.release()
            raise
        held.objects += 1

    def release(self) -> None:
        """Release the association of this thread, if it holds one."""
        held, self._thread.held = self._held, None
        if held is not None:
            held.end()

    @property
    def _held(self) -> HeldAssociation | None:
        return getattr(self._thread, "held", None)

    def _opened(self, peer: Peer, contexts: Sequence[Context]) -> HeldAssociation:
        from pynetdicom import build_context

        proposed = self._proposed(peer, contexts)
        with ExitStack() as stack:
            built = [build_context(sop_class, list(syntaxes)) for sop_class, syntaxes in proposed]
            association = stack.enter_context(peer.association(built))
            held = HeldAssociation(
                peer=peer, contexts=frozenset(proposed), association=association, _stack=stack.pop_all()
            )
        self._thread.held = held
        return held

    def _proposed(self, peer: Peer, contexts: Sequence[Context]) -> list[Context]:
        """Return `contexts`, and after them those of earlier objects to the peer."""
        with self._lock:
            known = self._contexts.setdefault(str(peer), {})
            others = [context for context in known if context not in contexts]
            for context in contexts[: max(0, _MAXIMUM_CONTEXTS - len(known))]:
                known[context] = None
        return [*contexts, *others]


def _serves(held: HeldAssociation, peer: Peer, contexts: Sequence[Context]) -> bool:
    is_usable = held.association.is_established and held.objects < _MAXIMUM_OBJECTS
    return is_usable and held.peer == peer and held.contexts.issuperset(contexts)
