"""Resources of QIDO-RS and WADO-RS by method and path, and the response to each."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cxr_node.dicomweb.holdings import Holdings
from cxr_node.dicomweb.query import Query, parse_query
from cxr_node.dicomweb.retrieve import JSON, Retrieval
from cxr_node.dicomweb.search import Level, search
from cxr_node.domain.identifiers import parse_uid
from cxr_node.net.http_exchange import Exchange, RequestRejected
from cxr_node.queries.held_instances import HeldInstance, Matching

_KEYWORDS = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}
_HIERARCHY = tuple(_KEYWORDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Serves requests of a client that may see films and identifiers.

    `on_search` and `on_retrieve` are called before the response, with what was looked up, and what is given.
    """

    holdings: Holdings
    retrieval: Retrieval
    on_search: Callable[[Query], None]
    on_retrieve: Callable[[Sequence[HeldInstance]], None]

    def get(self, exchange: Exchange, path: Sequence[str], *, base_url: str) -> None:
        """Respond to a GET request; raise RequestRejected if there is no such resource."""
        uids, rest, below = _uids(path)
        if len(rest) == 1 and rest[0] in below:
            self._search(exchange, Level(rest[0]), uids, base_url)
            return
        if "studies" not in uids or (rest not in ([], ["metadata"]) and "instances" not in uids):
            raise RequestRejected(404, "there is no such resource")
        listed = {name: (uid,) for name, uid in uids.items()}
        matching = Matching(
            study_instance_uids=listed["studies"],
            series_instance_uids=listed.get("series", ()),
            sop_instance_uids=listed.get("instances", ()),
        )
        instances = self.retrieval.instances(matching)
        respond = self._responder(exchange, rest, instances, base_url)
        self.on_retrieve(instances)
        respond()

    def _responder(
        self, exchange: Exchange, rest: Sequence[str], instances: Sequence[HeldInstance], base_url: str
    ) -> Callable[[], None]:
        match rest:
            case []:
                return lambda: self.retrieval.objects(exchange, instances)
            case ["metadata"]:
                return lambda: self.retrieval.metadata(exchange, instances, base_url)
            case ["frames", numbers]:
                return lambda: self.retrieval.frames(exchange, instances[0], numbers)
            case ["bulkdata", tag]:
                return lambda: self.retrieval.bulk_data(exchange, instances[0], tag)
            case _:
                raise RequestRejected(404, "there is no such resource")

    def _search(self, exchange: Exchange, level: Level, uids: Mapping[str, str], base_url: str) -> None:
        path = {_KEYWORDS[name]: uid for name, uid in uids.items()}
        query = parse_query(exchange.query(), path, result_modalities=self.holdings.result_modalities)
        self.on_search(query)
        is_relational = level is not Level.STUDIES and "studies" not in uids
        matches, has_more = search(self.holdings, level, query, is_relational=is_relational, base_url=base_url)
        warnings = [query.warning] if query.warning else []
        if has_more:
            warnings.append("there are more matches; ask for them by offset")
        headers = {"Content-Type": JSON}
        if warnings:
            headers["Warning"] = ", ".join(f'299 cxr-node "{text}"' for text in warnings)
        exchange.respond(200, json.dumps(matches).encode(), headers=headers)


def _uids(path: Sequence[str]) -> tuple[dict[str, str], list[str], list[str]]:
    """Return the UIDs of a path by its steps `studies`, `series` and `instances`, its rest, and the levels below."""
    uids: dict[str, str] = {}
    rest = list(path)
    order = list(_HIERARCHY)
    while len(rest) > 1 and rest[0] in order:
        order = order[order.index(rest[0]) + 1 :]
        name, text = rest[:2]
        try:
            uids[name] = parse_uid(text)
        except ValueError:
            raise RequestRejected(400, "the path has no valid UID") from None
        rest = rest[2:]
    return uids, rest, order
