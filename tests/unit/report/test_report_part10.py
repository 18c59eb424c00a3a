"""Encoding of a document around its encoded tree."""

from dataclasses import replace

import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID, JPEGBaseline8Bit

from cxr_node.domain.identifiers import Uid, digest_of
from cxr_node.domain.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from cxr_node.domain.reasons import Reason
from cxr_node.report.header.elements import verbatim
from cxr_node.report.header.encoding import encoded
from cxr_node.report.header.part10 import instance_of
from cxr_node.report.kinds import tid1500
from tests.support import films
from tests.unit.report.studies import composed, everything, identity_of, not_read, parsed


def test_a_spliced_document_equals_the_whole_document_encoded() -> None:
    for film in (everything(films.dx()), not_read(films.cr(changes={"TimezoneOffsetFromUTC": "+0100"}), Reason.VIEW)):
        instance = composed(tid1500.REPORT, [film])
        body = instance.content[films.data_set_offset(instance.content) :]
        assert body == encoded(parsed(instance))
        assert digest_of(body) == instance.digest
        tags = [element.tag for element in parsed(instance)]
        assert tags == sorted(tags)


@pytest.mark.parametrize("uid", ["1.2.840.10008.5.1.4.1.1.88.34", "2.25.1", "999.999.01.23"])
def test_file_meta_information_is_written_as_by_pydicom(uid: str) -> None:
    identity = replace(identity_of(films.dx()), sop_instance_uid=Uid(uid))
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(identity.sop_class_uid)
    meta.add(verbatim("MediaStorageSOPInstanceUID", uid))
    meta.TransferSyntaxUID = JPEGBaseline8Bit
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    target = DicomBytesIO()
    write_file_meta_info(target, meta)

    assert instance_of(b"", identity, JPEGBaseline8Bit).content == bytes(128) + b"DICM" + target.getvalue()
