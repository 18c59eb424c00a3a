"""English: the language of the codes' own meanings."""

from cxr_node.domain.reading import Laterality
from cxr_node.domain.reasons import Note, Reason
from cxr_node.report import codes
from cxr_node.report.languages.language import Language, Phrases, Terms

ENGLISH = Language(
    code=codes.ENGLISH,
    terms=Terms(
        findings={label: code.meaning for label, (code, _, _) in codes.FINDINGS.items()},
        structures={code: code.meaning.lower() for code in codes.STRUCTURES},
        statements={code: code.meaning for code in codes.STATEMENTS},
        presences={presence: presence.value for presence in codes.PRESENCES},
        sides={side: side.value for side in Laterality},
        views={view: code.meaning for view, code in codes.VIEWS.items()},
        measurements={key: code.meaning for key, code in codes.MEASUREMENTS.items()},
        reasons={reason: reason.meaning for reason in Reason},
        notes={note: note.meaning for note in Note},
    ),
    phrases=Phrases(
        caution=(
            "RESEARCH USE ONLY. Computer-generated result, not reviewed or verified by a physician; not for diagnosis."
        ),
        no_finding="No finding above the operating point. This does not exclude disease.",
        no_targets="The model looked for no finding.",
        score_meaning="A score is not a probability.",
        finding="{finding}{places}: {presence}, score {score} of 100, operating point {operating_point}.",
        places=" ({places})",
        absent_findings="Looked for and not seen: {findings}.",
        not_analysed="Not analysed: {reason}{detail}.",
        detail=" ({detail})",
        note="Note: {note}.",
        measurement="{measurement} {value}{unit}.",
        film="Film {ordinal}{view}: ",
    ),
    meanings={},
)
