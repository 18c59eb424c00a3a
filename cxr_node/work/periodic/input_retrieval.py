"""Retrieval of the films of procedure steps that have not come, from the sources of the settings that a step names."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cxr_node.domain.clock import Clock
from cxr_node.domain.errors import RejectObject, RetryLater
from cxr_node.domain.prior_search import FilmNotSent
from cxr_node.domain.procedure_step import InputSource, StepInput

_log = logging.getLogger(__name__)

_AGAIN = timedelta(minutes=1)
"""Time after which a source that gave no answer is asked again, and a film that it did not send."""
_MAXIMUM_FILMS = 100
"""Films that are retrieved for one step: a study of chest films has a handful."""


@dataclass(slots=True, kw_only=True)
class InputRetrieval:
    """Retrieves films. Each has `timeout_s` to come; a source that gave no answer is not asked again for a minute."""

    sources: Callable[[], Sequence[InputSource]] = tuple
    clock: Clock
    timeout_s: float = 60.0
    timer: Callable[[], float] = time.monotonic
    _until: dict[tuple[str, str], tuple[datetime, str]] = field(default_factory=dict, init=False)
    """Until when a source is not asked, for all films ("") or for one, and why it is not."""

    def retrieve(self, films: Sequence[StepInput]) -> str:
        """Retrieve films of one step; return why some have not come, "" if all have or nothing can be retrieved."""
        sources = self.sources()
        if not sources or not films:
            return ""
        if len(films) > _MAXIMUM_FILMS:
            return f"more films than the {_MAXIMUM_FILMS} that are retrieved for a step"
        now = self.clock()
        self._until = {key: row for key, row in self._until.items() if row[0] > now}
        failures = [failure for film in films if (failure := self._retrieve(film, sources))]
        return "; ".join(dict.fromkeys(failures))

    def _retrieve(self, film: StepInput, sources: Sequence[InputSource]) -> str:
        """Return "" if a film has come, else why not."""
        if not film.study_instance_uid or not film.series_instance_uid:
            return "the step does not state study and series of a film"
        named = [source for source in sources if any(source.is_at(place) for place in film.places)]
        if not named:
            return f"the step names no source of the settings, but {_names(film)}"
        failures = []
        for source in named:
            failure = self._waiting(source, film) or self._ask(source, film)
            if not failure:
                return ""
            failures.append(failure)
        return "; ".join(dict.fromkeys(failures))

    def _waiting(self, source: InputSource, film: StepInput) -> str:
        """Return why a source is not asked now; "" if it is."""
        rows = (self._until.get((source.name, uid)) for uid in ("", film.sop_instance_uid))
        return next((row[1] for row in rows if row is not None), "")

    def _ask(self, source: InputSource, film: StepInput) -> str:
        try:
            source.fetch(film, until=self.timer() + self.timeout_s)
        except (FilmNotSent, RejectObject) as error:
            return self._wait(source, film.sop_instance_uid, str(error) or "its film is rejected")
        except RetryLater as error:
            return self._wait(source, "", str(error))
        _log.info("film %s of a procedure step came from %s", film.sop_instance_uid, source.name)
        return ""

    def _wait(self, source: InputSource, uid: str, failure: str) -> str:
        detail = f"{source.name}: {failure}"
        self._until[source.name, uid] = (self.clock() + _AGAIN, detail)
        return detail


def _names(film: StepInput) -> str:
    """Return the sources that a step names for a film, without UIDs, which not everybody may see."""

    def texts() -> Iterator[str]:
        for place in film.places:
            yield f"AE title {place.ae_title}" if place.ae_title is not None else place.url.partition("/studies/")[0]

    return ", ".join(sorted(set(texts()))) or "none at all"
