"""German."""

from cxr_node.domain.codes import Code
from cxr_node.domain.radiograph import View
from cxr_node.domain.reading import Laterality, Presence
from cxr_node.domain.reasons import Note, Reason
from cxr_node.report import codes
from cxr_node.report.languages.language import Phrases, Terms, translation

GERMAN = translation(
    Code(value="de", scheme_designator="RFC5646", meaning="Deutsch"),
    Terms(
        findings={
            "Atelectasis": "Atelektase",
            "Consolidation": "Lungenkonsolidierung",
            "Infiltration": "Infiltrat",
            "Pneumothorax": "Pneumothorax",
            "Edema": "Lungenödem",
            "Emphysema": "Lungenemphysem",
            "Fibrosis": "Lungenfibrose",
            "Effusion": "Pleuraerguss",
            "Pneumonia": "Pneumonie",
            "Pleural_Thickening": "Pleuraverdickung",
            "Cardiomegaly": "Kardiomegalie",
            "Nodule": "Rundherd",
            "Mass": "Raumforderung",
            "Hernia": "Zwerchfellhernie",
            "Lung Lesion": "Läsion",
            "Fracture": "Fraktur",
            "Lung Opacity": "Verschattung",
            "Enlarged Cardiomediastinum": "Verbreitertes Kardiomediastinum",
            "Tuberculosis": "Lungentuberkulose",
        },
        structures={
            codes.LUNG: "Lunge",
            codes.PLEURA: "Pleura",
            codes.MEDIASTINUM: "Mediastinum",
            codes.DIAPHRAGM: "Zwerchfell",
            codes.HEART: "Herz",
            codes.CHEST: "Thorax",
        },
        statements={
            codes.IMAGE_QUALITY: "Bildqualität",
            codes.UNUSABLE: "Unbrauchbar - Bild wegen der Qualität nicht verwendbar",
            codes.ALL_WITHOUT_FINDINGS: "Alle Algorithmen erfolgreich; ohne Befund",
            codes.ALL_WITH_FINDINGS: "Alle Algorithmen erfolgreich; mit Befund",
            codes.PART_WITHOUT_FINDINGS: "Nicht alle Algorithmen erfolgreich; ohne Befund",
            codes.PART_WITH_FINDINGS: "Nicht alle Algorithmen erfolgreich; mit Befund",
            codes.NONE_SUCCEEDED: "Kein Algorithmus erfolgreich; ohne Befund",
        },
        presences={
            Presence.PRESENT: "vorhanden",
            Presence.ABSENT: "nicht vorhanden",
            Presence.UNDETERMINED: "unbestimmt",
        },
        sides={Laterality.RIGHT: "rechts", Laterality.LEFT: "links", Laterality.BILATERAL: "beidseits"},
        views={View.PA: "posteroanterior", View.AP: "anteroposterior", View.LATERAL: "seitlich"},
        measurements={
            "CTR": "Herz-Thorax-Quotient",
            "MTCD": "Größter transversaler Herzdurchmesser",
            "MITD": "Größter innerer Thoraxdurchmesser",
        },
        reasons={
            Reason.BODY_PART: "Keine Thoraxaufnahme",
            Reason.NOT_HUMAN: "Kein menschlicher Patient",
            Reason.VIEW: "Keine frontale Aufnahme, oder Projektion unbekannt",
            Reason.AGE: "Patient jünger als das eingestellte Alter",
            Reason.FOR_PROCESSING: "Bild ist For Processing, nicht For Presentation",
            Reason.MULTI_FRAME: "Bild hat mehr als einen Frame",
            Reason.NO_PIXELS: "Objekt enthält keine Pixeldaten",
            Reason.TOO_LARGE: "Bild größer als eingestellt",
            Reason.DECODE: "Pixeldaten nicht dekodierbar",
            Reason.COLOR: "Bild ist kein Graustufenbild",
            Reason.QUALITY: "Bildqualität unzureichend",
            Reason.UNUSUAL: "Bild ungleich denen, für die das Modell gemacht ist",
            Reason.DUPLICATE: "Gleiche SOP Instance UID mit anderem Inhalt",
            Reason.IDENTITY: "Bilder der Studie nennen verschiedene Patienten",
            Reason.MODEL_ERROR: "Modell ist an diesem Bild gescheitert",
            Reason.TIMEOUT: "Analyse dauerte zu lange",
            Reason.RESULT: "Ergebnis bestand die Prüfung vor dem Senden nicht",
        },
        notes={
            Note.POLARITY_CORRECTED: "Photometric Interpretation widerspricht dem Bild; berichtigt",
            Note.POLARITY_CONTRADICTORY: "Presentation LUT Shape widersprüchlich; nicht befolgt",
            Note.BURNED_IN_TEXT: "Text ist ins Bild eingebrannt",
            Note.NO_VOI: "Keine brauchbare Fensterung oder VOI LUT; Grauwerte aus Pixeln",
            Note.VIEW_GUESSED: "View Position fehlt; Projektion aus beschreibendem Text",
            Note.VIEW_DOUBTED: "Angegebene Projektion zweifelhaft: Bild sieht anders aus",
            Note.ROTATED: "Bild vor der Analyse in Standardlage gedreht",
            Note.SHUTTER: "Bereich außerhalb der Blende nicht beachtet",
        },
    ),
    Phrases(
        caution=(
            "NUR FÜR FORSCHUNGSZWECKE. Computererzeugtes Ergebnis, von keinem Arzt geprüft oder bestätigt; "
            "nicht zur Diagnose."
        ),
        no_finding="Kein Befund oberhalb der Entscheidungsschwelle. Das schließt eine Erkrankung nicht aus.",
        no_targets="Das Modell hat nach keinem Befund gesucht.",
        score_meaning="Ein Score ist keine Wahrscheinlichkeit.",
        finding="{finding}{places}: {presence}, Score {score} von 100, Entscheidungsschwelle {operating_point}.",
        places=" ({places})",
        absent_findings="Gesucht und nicht gesehen: {findings}.",
        not_analysed="Nicht analysiert: {reason}{detail}.",
        detail=" ({detail})",
        note="Hinweis: {note}.",
        measurement="{measurement} {value}{unit}.",
        film="Aufnahme {ordinal}{view}: ",
        decimal_sign=",",
    ),
)
