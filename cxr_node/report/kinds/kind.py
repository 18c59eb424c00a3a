"""The kinds of result a study can have. The seam: a new kind is a class with `name` and `compose`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from cxr_node.domain.instance import Instance
from cxr_node.domain.radiograph import Radiograph
from cxr_node.report.header.header import ResultType
from cxr_node.report.kinds import (
    basic_text,
    chest_cad,
    key_objects,
    presentation_state,
    secondary_capture,
    segmentation,
    tid1500,
)
from cxr_node.report.source import Film, Observer, PreviousReport


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComposeRequest:
    """What a result is made from.

    `films` are the study's, each with its reading; `see` decodes one that is to be painted; `earlier` are
    the study's results of this kind, oldest first.
    """

    films: Sequence[Film]
    see: Callable[[Film], Radiograph]
    node: Observer
    now: datetime
    earlier: Sequence[PreviousReport] = ()


class ResultKind(Protocol):
    """Makes the results of one kind."""

    @property
    def name(self) -> str:
        """The name in result rows; another kind has another."""
        ...

    def compose(self, order: ComposeRequest) -> list[Instance]:
        """Return what is to be said of a study and was not among `earlier`; possibly nothing.

        Raises
        ------
        GiveUp
            IDENTITY: the films are not of one patient and study. RESULT: a result breaks a promise of `check`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Report:
    """One TID 1500 report per study, in the SOP class of `kind`; a new version names the one before."""

    kind: ResultType = tid1500.COMPREHENSIVE_3D

    @property
    def name(self) -> str:
        """The kind's name."""
        return self.kind.name

    def compose(self, order: ComposeRequest) -> list[Instance]:
        """Return the study's report, unless it says what the last one said."""
        return _next_version(partial(tid1500.compose, kind=self.kind), order)


class Text:
    """One Basic Text SR per study."""

    name = basic_text.BASIC_TEXT.name

    def compose(self, order: ComposeRequest) -> list[Instance]:
        """Return the study's report in words, unless it says what an earlier one said."""
        return _next_version(basic_text.compose, order)


class ChestCad:
    """One Chest CAD SR per study."""

    name = chest_cad.CHEST_CAD.name

    def compose(self, order: ComposeRequest) -> list[Instance]:
        """Return the study's marks, unless they are those of an earlier one."""
        return _next_version(chest_cad.compose, order)


class Picture:
    """One Secondary Capture for each film that was analysed."""

    name = secondary_capture.PICTURE.name

    def compose(self, order: ComposeRequest) -> list[Instance]:
        """Return the pictures that are new."""

        def painter(film: Film) -> Callable[[int], Instance]:
            return lambda number: secondary_capture.compose(
                film, order.see(film), node=order.node, now=order.now, instance_number=number
            )

        return _new([painter(film) for film in order.films if film.reading.prediction is not None], order)


class PresentationState:
    """One Grayscale Softcopy Presentation State for each film that has something to mark."""

    name = presentation_state.MARKS.name

    def compose(self, order: ComposeRequest) -> list[Instance]:
        """Return the presentation states that are new."""

        def marker(film: Film) -> Callable[[int], Instance | None]:
            return lambda number: presentation_state.compose(
                film, node=order.node, now=order.now, instance_number=number
            )

        return _new([marker(film) for film in order.films], order)


class Segmentation:
    """One Segmentation for each film whose anatomy was outlined."""

    name = segmentation.ANATOMY.name

    def compose(self, order: ComposeRequest) -> list[Instance]:
        """Return the segmentations that are new."""

        def segmenter(film: Film) -> Callable[[int], Instance | None]:
            return lambda number: segmentation.compose(film, node=order.node, now=order.now, instance_number=number)

        return _new([segmenter(film) for film in order.films], order)


class KeyImages:
    """One Key Object Selection per study with a finding."""

    name = key_objects.KEY_OBJECTS.name

    def compose(self, order: ComposeRequest) -> list[Instance]:
        """Return the selection, unless it is an earlier one or there is nothing to select."""
        return _new(
            [lambda number: key_objects.compose(order.films, node=order.node, now=order.now, instance_number=number)],
            order,
        )


def _next_version(compose: Callable[..., Instance], order: ComposeRequest) -> list[Instance]:
    """Return the study's document of a kind, which names the one before, unless it says what an earlier one said."""
    document = compose(
        order.films,
        node=order.node,
        now=order.now,
        previous=order.earlier[-1:],
        instance_number=len(order.earlier) + 1,
    )
    return _new([lambda _: document], order)


def _new(makers: Sequence[Callable[[int], Instance | None]], order: ComposeRequest) -> list[Instance]:
    """Make results one after another, each told its Instance Number, and return those that say something new."""
    known = {result.sop_instance_uid for result in order.earlier}
    made: list[Instance] = []
    for make in makers:
        result = make(len(order.earlier) + len(made) + 1)
        if result is not None and result.identity.sop_instance_uid not in known:
            made.append(result)
    return made
