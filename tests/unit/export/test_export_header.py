"""Header of a de-identified film: nothing but what the table of actions keeps."""

from datetime import timedelta
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from cxr_node.export.attributes import Action, action_table, parse_table
from cxr_node.export.header import Policy, deidentified_header, policy
from cxr_node.export.options import Option
from cxr_node.export.pseudonyms import Pseudonyms
from cxr_node.export.sample_values import add_pixels, samples_alone
from cxr_node.pixels.decoding import Frame
from cxr_node.pixels.description import Description
from cxr_node.pixels.parsing import parse
from cxr_node.report.header.encoding import encoded
from tests.support import canaries, films

SECRET = "s" * 32
DATES = frozenset({Option.MODIFIED_DATES})
ALL_BUT_DEVICE = frozenset(Option) - {Option.DEVICE}


def rules(*options: Option) -> Policy:
    return policy(frozenset(options), Pseudonyms(secret=SECRET))


def received(film: Dataset) -> Dataset:
    """Return a film as it is read from its file."""
    out = BytesIO()
    dcmwrite(out, film, enforce_file_format=True)
    return parse(out.getvalue())


def header_of(film: Dataset, *options: Option) -> Dataset:
    return deidentified_header(received(film), rules(*options), patient="patient 1")


def every_text_attribute() -> list[str]:
    """Return the keywords of all attributes of the standard that have text, a UID or a sequence."""
    rows = [(tag, row) for tag, row in DicomDictionary.items() if tag >> 16 not in (0x0000, 0x0002, 0x0004) and row[4]]
    texts = [(tag, row) for tag, row in rows if row[0] in canaries.TEXT_BY_VR or row[0] == "SQ"]
    return [keyword_for_tag(tag) for tag, row in texts if row[0] not in ("IS", "DS", "TM", "AS") and tag < 0x7FE00000]


@pytest.mark.parametrize("start", range(3))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_attribute_of_the_standard_lets_a_canary_through(start: int) -> None:
    """In steps, as reception bounds the elements of a film."""
    planted = every_text_attribute()[start::3]
    film = films.dx()
    canaries.plant(film, [keyword for keyword in planted if keyword not in ("SOPClassUID", "SpecificCharacterSet")])

    header = encoded(header_of(film, *ALL_BUT_DEVICE))

    assert len(planted) > 100
    assert [sought for sought in canaries.SOUGHT if sought in header] == []


def test_every_rule_has_the_actions_of_its_kind() -> None:
    table = action_table()

    for rule in [*table.attributes.values(), *table.items.values()]:
        assert (rule.basic is Action.REPLACE_UID) == (rule.vr == "UI" and rule.keyword != "SOPClassUID")
        is_text = rule.vr in ("LO", "SH", "ST", "LT", "UT", "CS", "UI")
        is_open = is_text and rule.pattern is None and not rule.words and rule.basic in (Action.KEEP, Action.CLEAN)
        known = ("ImageType", "CodeValue", "CodingSchemeDesignator", "CodeMeaning")
        assert not is_open or rule.keyword in known, f"{rule.keyword}: any text is kept"
        assert rule.vr != "PN" or rule.basic in (Action.DUMMY, Action.EMPTY)
        assert rule.vr not in ("DA", "DT") or rule.basic in (Action.EMPTY, Action.REMOVE)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ('Nonsense = { basic = "K" }', "not the keyword"),
        ('KVP = { basic = "Q" }', "not a valid Action"),
        ('KVP = { basic = "K", always = "K" }', "unknown keys"),
    ],
)
def test_a_wrong_table_is_refused(row: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        parse_table(f'words = ""\nschemes = ""\n[attributes]\n{row}\n[items]\n')


def test_options_keep_what_they_name() -> None:
    film = films.dx(changes={"StudyDescription": "Thorax AP of Mr Miller", "PatientAge": "093Y"})
    film.StationName = "ROOM 3"

    basic, every = header_of(film), header_of(film, *Option)

    assert [basic.get(keyword) for keyword in ("StudyDescription", "PatientAge", "StationName")] == [None] * 3
    assert not any((basic.StudyDate, basic.PatientSex, basic.Manufacturer))
    assert (every.StudyDescription, every.PatientAge, every.StationName) == ("Thorax AP", "090Y", "ROOM 3")
    assert (every.PatientSex, every.Manufacturer) == ("F", "Test Films")
    assert not every.PatientBirthDate


def test_dates_of_a_patient_move_by_the_same_days() -> None:
    shift = Pseudonyms(secret=SECRET).shift("patient 1")
    film = films.dx(changes={"AcquisitionDateTime": "20240501101511.5+0100"})

    header = header_of(film, Option.MODIFIED_DATES)

    moved = received(film).StudyDate
    assert timedelta(days=365) <= -shift <= timedelta(days=3650)
    assert header.StudyDate == header.SeriesDate != moved
    assert header.AcquisitionDateTime == f"{header.StudyDate}101511.5"
    assert header.StudyTime == "101500"


def test_codes_are_kept_of_known_schemes_and_forms_alone() -> None:
    film = films.dx()
    good, private, name = (Dataset() for _ in range(3))
    for item, value, scheme in ((good, "399348003", "SCT"), (private, "1", "99SITE"), (name, "MILLER", "SCT")):
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "view of Mr Miller"
    film.ViewCodeSequence = Sequence([good, private, name])

    (item,) = header_of(film).ViewCodeSequence

    assert (item.CodeValue, item.CodeMeaning) == ("399348003", "view")


def test_a_lookup_table_ends_with_its_last_entry() -> None:
    table = Dataset()
    table.LUTDescriptor = [4, 0, 16]
    table.LUTExplanation = "chest of Miller"
    table.add_new("LUTData", "OW", np.arange(4, dtype="<u2").tobytes() + b"CANARY")
    film = films.dx(changes={"VOILUTSequence": Sequence([table])})

    (exported,) = header_of(film, Option.DESCRIPTORS).VOILUTSequence

    assert (list(exported.LUTDescriptor), exported.LUTExplanation) == ([4, 0, 16], "chest")
    assert exported.LUTData == np.arange(4, dtype="<u2").tobytes()


@pytest.mark.parametrize("is_signed", [False, True])
def test_bits_beside_the_samples_are_not_written(*, is_signed: bool) -> None:
    """Pixel cells of 16 bits with a sample of 12 in bits 2 to 13, and overlays in the others."""
    samples = np.array([[0, 1], [-5, 1000]] if is_signed else [[0, 1], [4095, 1000]], np.int32)
    cells = (((samples & 0xFFF) << 2) | 0xC003).astype(np.uint16)
    description = Description(
        rows=2,
        columns=2,
        samples_per_pixel=1,
        photometric_interpretation="MONOCHROME2",
        bits_allocated=16,
        bits_stored=12,
        high_bit=13,
        is_signed=is_signed,
        planar_configuration=0,
        number_of_frames=1,
    )
    header = Dataset()

    add_pixels(header, samples_alone(Frame(cells=cells, description=description, is_lossy=False)))

    written = np.frombuffer(header.PixelData, "<i2" if is_signed else "<u2").reshape(2, 2)
    assert (written == samples).all()
    assert (header.BitsStored, header.HighBit, header.PixelRepresentation) == (12, 11, int(is_signed))


def test_an_empty_element_stays_empty() -> None:
    header = header_of(films.dx(changes={"Laterality": "", "ViewPosition": "", "StationName": ""}))

    assert ("Laterality" in header, header.Laterality, "StationName" in header) == (True, None, False)


def test_uids_are_replaced_the_same_way_everywhere() -> None:
    pseudonyms = Pseudonyms(secret=SECRET)
    header = header_of(films.dx())
    other = Pseudonyms(secret="t" * 32)

    assert header.SOPInstanceUID == pseudonyms.uid(films.dx().SOPInstanceUID)
    assert pseudonyms.uid("1.2.3") != pseudonyms.uid("1.2.4") != other.uid("1.2.4")
    assert pseudonyms.patient_id("a") != other.patient_id("a")
    assert pseudonyms.fingerprint != other.fingerprint
    assert SECRET not in repr(pseudonyms)


def test_what_is_written_is_read_back() -> None:
    header = header_of(films.dx(), *Option)
    body = encoded(header)

    again = dcmread(BytesIO(body), force=True)

    assert again.PatientName == header.PatientName
    assert again.ViewCodeSequence[0].CodeMeaning == "antero-posterior projection"
