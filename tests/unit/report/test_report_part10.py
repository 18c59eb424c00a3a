"""Encoding of a document around its encoded tree."""

from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.reasons import Reason
from cxr_node.report.header.encoding import encoded
from cxr_node.report.kinds import tid1500
from tests.support import films
from tests.unit.report.studies import composed, everything, not_read, parsed


def test_a_spliced_document_equals_the_whole_document_encoded() -> None:
    for film in (everything(films.dx()), not_read(films.cr(changes={"TimezoneOffsetFromUTC": "+0100"}), Reason.VIEW)):
        instance = composed(tid1500.REPORT, [film])
        body = instance.content[films.data_set_offset(instance.content) :]
        assert body == encoded(parsed(instance))
        assert digest_of(body) == instance.digest
        tags = [element.tag for element in parsed(instance)]
        assert tags == sorted(tags)
