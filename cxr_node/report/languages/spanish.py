"""Spanish."""

from cxr_node.domain.codes import Code
from cxr_node.domain.radiograph import View
from cxr_node.domain.reading import Laterality, Presence
from cxr_node.domain.reasons import Note, Reason
from cxr_node.report import codes
from cxr_node.report.languages.language import Phrases, Terms, translation

SPANISH = translation(
    Code(value="es", scheme_designator="RFC5646", meaning="español"),
    Terms(
        findings={
            "Atelectasis": "Atelectasia",
            "Consolidation": "Consolidación pulmonar",
            "Infiltration": "Infiltrado",
            "Pneumothorax": "Neumotórax",
            "Edema": "Edema pulmonar",
            "Emphysema": "Enfisema pulmonar",
            "Fibrosis": "Fibrosis pulmonar",
            "Effusion": "Derrame pleural",
            "Pneumonia": "Neumonía",
            "Pleural_Thickening": "Engrosamiento pleural",
            "Cardiomegaly": "Cardiomegalia",
            "Nodule": "Nódulo",
            "Mass": "Masa",
            "Hernia": "Hernia diafragmática",
            "Lung Lesion": "Lesión",
            "Fracture": "Fractura ósea",
            "Lung Opacity": "Opacidad",
            "Enlarged Cardiomediastinum": "Ensanchamiento cardiomediastínico",
            "Tuberculosis": "Tuberculosis pulmonar",
        },
        structures={
            codes.LUNG: "pulmón",
            codes.PLEURA: "pleura",
            codes.MEDIASTINUM: "mediastino",
            codes.DIAPHRAGM: "diafragma",
            codes.HEART: "corazón",
            codes.CHEST: "tórax",
        },
        statements={
            codes.IMAGE_QUALITY: "Calidad de imagen",
            codes.UNUSABLE: "No utilizable - la calidad hace inservible la imagen",
            codes.ALL_WITHOUT_FINDINGS: "Todos los algoritmos con éxito; sin hallazgos",
            codes.ALL_WITH_FINDINGS: "Todos los algoritmos con éxito; con hallazgos",
            codes.PART_WITHOUT_FINDINGS: "No todos los algoritmos con éxito; sin hallazgos",
            codes.PART_WITH_FINDINGS: "No todos los algoritmos con éxito; con hallazgos",
            codes.NONE_SUCCEEDED: "Ningún algoritmo con éxito; sin hallazgos",
        },
        presences={
            Presence.PRESENT: "presente",
            Presence.ABSENT: "ausente",
            Presence.UNDETERMINED: "sin determinar",
        },
        sides={Laterality.RIGHT: "lado derecho", Laterality.LEFT: "lado izquierdo", Laterality.BILATERAL: "bilateral"},
        views={View.PA: "posteroanterior", View.AP: "anteroposterior", View.LATERAL: "lateral"},
        measurements={
            "CTR": "Índice cardiotorácico",
            "MTCD": "Diámetro cardíaco transverso máximo",
            "MITD": "Diámetro torácico interno máximo",
        },
        reasons={
            Reason.BODY_PART: "No es una radiografía de tórax",
            Reason.NOT_HUMAN: "El paciente no es humano",
            Reason.VIEW: "No es una proyección frontal, o proyección desconocida",
            Reason.AGE: "Paciente menor que la edad configurada",
            Reason.FOR_PROCESSING: "La imagen es For Processing, no For Presentation",
            Reason.MULTI_FRAME: "La imagen tiene más de un fotograma",
            Reason.NO_PIXELS: "El objeto no contiene datos de píxeles",
            Reason.TOO_LARGE: "Imagen mayor que el tamaño configurado",
            Reason.DECODE: "No se pueden decodificar los datos de píxeles",
            Reason.COLOR: "La imagen no está en escala de grises",
            Reason.QUALITY: "Calidad de imagen insuficiente",
            Reason.UNUSUAL: "Imagen distinta de aquellas para las que se hizo el modelo",
            Reason.DUPLICATE: "Mismo SOP Instance UID con otro contenido",
            Reason.IDENTITY: "Las imágenes del estudio discrepan sobre el paciente",
            Reason.MODEL_ERROR: "El modelo falló con esta imagen",
            Reason.TIMEOUT: "El análisis tardó demasiado",
            Reason.RESULT: "El resultado no superó la comprobación previa al envío",
        },
        notes={
            Note.POLARITY_CORRECTED: "Photometric Interpretation contradice la imagen; corregido",
            Note.POLARITY_CONTRADICTORY: "Presentation LUT Shape contradictorio; no se siguió",
            Note.BURNED_IN_TEXT: "Hay texto incrustado en la imagen",
            Note.NO_VOI: "Sin ventana ni VOI LUT utilizables; grises según los píxeles",
            Note.VIEW_GUESSED: "Falta View Position; proyección según el texto descriptivo",
            Note.VIEW_DOUBTED: "Proyección indicada dudosa: la imagen parece de otra",
            Note.ROTATED: "Imagen girada a la orientación estándar antes del análisis",
            Note.SHUTTER: "Se ignoró el área fuera del obturador de presentación",
        },
    ),
    Phrases(
        caution=(
            "SOLO PARA INVESTIGACIÓN. Resultado generado por ordenador, no revisado ni verificado por un médico; "
            "no apto para el diagnóstico."
        ),
        no_finding="Ningún hallazgo por encima del umbral de decisión. Esto no descarta enfermedad.",
        no_targets="El modelo no buscó ningún hallazgo.",
        score_meaning="Una puntuación no es una probabilidad.",
        finding="{finding}{places}: {presence}, puntuación {score} de 100, umbral de decisión {operating_point}.",
        places=" ({places})",
        absent_findings="Buscado y no visto: {findings}.",
        not_analysed="No analizado: {reason}{detail}.",
        detail=" ({detail})",
        note="Nota: {note}.",
        measurement="{measurement} {value}{unit}.",
        film="Radiografía {ordinal}{view}: ",
        decimal_sign=",",
    ),
)
