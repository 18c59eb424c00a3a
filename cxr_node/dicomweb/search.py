"""Search transaction (QIDO-RS, PS3.18 section 10.6) for studies, series and instances.

What is matched is in the database; what is shown besides is read of the header of one object of each match.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

from cxr_node.dicomweb.holdings import Holdings
from cxr_node.dicomweb.json_model import Json
from cxr_node.dicomweb.query import Query
from cxr_node.queries import held_instances
from cxr_node.queries.held_instances import HeldInstance

_PATIENT_AND_STUDY = (
    *(0x00080020, 0x00080030, 0x00080050, 0x00080090, 0x00081030),
    *(0x00100010, 0x00100020, 0x00100021, 0x00100030, 0x00100040, 0x0020000D, 0x00200010),
)
_SERIES = (0x00080060, 0x0008103E, 0x00180015, 0x0020000E, 0x00200011, 0x00400244, 0x00400245)
_INSTANCE = (0x00080016, 0x00080018, 0x00080023, 0x00080033, 0x00200013, 0x00280008, 0x00280010, 0x00280011, 0x00280100)
_MODALITY, _STUDY_UID, _SERIES_UID = "00080060", "0020000D", "0020000E"
_AVAILABILITY, _RETRIEVE_URL, _MODALITIES, _CLASSES = "00080056", "00081190", "00080061", "00080062"
_IN_STUDY_SERIES, _IN_STUDY_INSTANCES, _IN_SERIES_INSTANCES = "00201206", "00201208", "00201209"


class Level(StrEnum):
    """What is searched for, as the last step of the path names it."""

    STUDIES = "studies"
    SERIES = "series"
    INSTANCES = "instances"


def search(
    holdings: Holdings, level: Level, query: Query, *, is_relational: bool, base_url: str
) -> tuple[list[Json], bool]:
    """Return the matches of a query as JSON, and whether there are more.

    A relational search, which names no study in its path, shows attributes of the study with each match.
    """
    limit, offset, matching = query.limit, query.offset, query.matching
    with holdings.database.read() as connection:
        if level is Level.STUDIES:
            rows: Sequence[Any] = held_instances.studies(connection, matching, limit=limit + 1, offset=offset)
            study_ids = set(rows)
        elif level is Level.SERIES:
            rows = held_instances.series(connection, matching, limit=limit + 1, offset=offset)
            study_ids = {study_id for study_id, _ in rows}
        else:
            rows = held_instances.instances(connection, matching, limit=limit + 1, offset=offset)
            study_ids = {instance.study_id for instance in rows}
        members = held_instances.of_studies(connection, study_ids)
    groups = [_members(level, match, members) for match in rows[:limit]]
    tags = {
        Level.STUDIES: _PATIENT_AND_STUDY,
        Level.SERIES: (*_SERIES, *(_PATIENT_AND_STUDY if is_relational else ())),
        Level.INSTANCES: (*_INSTANCE, *_SERIES, *(_PATIENT_AND_STUDY if is_relational else ())),
    }[level]
    headers = holdings.headers.attributes([group[0] for group in groups], tags)
    shown = [
        _shown(level, group, header, base_url)
        for group, header in zip(groups, _with_modalities(holdings, level, groups, headers), strict=True)
    ]
    return shown, len(rows) > limit


def _members(level: Level, match: Any, members: Iterable[HeldInstance]) -> list[HeldInstance]:
    """Return the instances of a match."""
    match level:
        case Level.STUDIES:
            return [member for member in members if member.study_id == match]
        case Level.SERIES:
            return [member for member in members if (member.study_id, member.series_instance_uid) == match]
        case _:
            return [match]


def _with_modalities(
    holdings: Holdings, level: Level, groups: Sequence[Sequence[HeldInstance]], headers: Sequence[Json]
) -> list[Json]:
    """Return the headers, of studies with Modalities in Study (0008,0061) and SOP Classes in Study (0008,0062)."""
    if level is not Level.STUDIES:
        return list(headers)
    firsts = [list({member.series_instance_uid: member for member in group}.values()) for group in groups]
    flat = holdings.headers.attributes([member for series in firsts for member in series], [0x00080060])
    modalities = iter(flat)
    shown: list[Json] = []
    for group, series, header in zip(groups, firsts, headers, strict=True):
        names = {value for _ in series for value in next(modalities).get(_MODALITY, {}).get("Value", [])}
        classes = {member.sop_class_uid for member in group}
        counts = {_IN_STUDY_SERIES: len(series), _IN_STUDY_INSTANCES: len(group)}
        shown.append(
            {
                **header,
                _MODALITIES: {"vr": "CS", "Value": sorted(names)},
                _CLASSES: {"vr": "UI", "Value": sorted(classes)},
                **{tag: {"vr": "IS", "Value": [count]} for tag, count in counts.items()},
            }
        )
    return shown


def _shown(level: Level, group: Sequence[HeldInstance], header: Json, base_url: str) -> Json:
    """Return the attributes of a match: those of its row, which are sure, over those of the header."""
    first = group[0]
    url = f"{base_url}/studies/{first.study_instance_uid}"
    sure: dict[str, tuple[str, object]] = {
        _AVAILABILITY: ("CS", "ONLINE"),
        _STUDY_UID: ("UI", first.study_instance_uid),
    }
    if level is not Level.STUDIES:
        url += f"/series/{first.series_instance_uid}"
        sure[_SERIES_UID] = ("UI", first.series_instance_uid)
    if level is Level.SERIES:
        sure[_IN_SERIES_INSTANCES] = ("IS", len(group))
    if level is Level.INSTANCES:
        url += f"/instances/{first.sop_instance_uid}"
        sure |= {"00080016": ("UI", first.sop_class_uid), "00080018": ("UI", first.sop_instance_uid)}
    if base_url:
        sure[_RETRIEVE_URL] = ("UR", url)
    shown = {**header, **{tag: {"vr": vr, "Value": [value]} for tag, (vr, value) in sure.items()}}
    return dict(sorted(shown.items()))
