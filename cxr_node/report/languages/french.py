"""French."""

from cxr_node.domain.codes import Code
from cxr_node.domain.radiograph import View
from cxr_node.domain.reading import Laterality, Presence
from cxr_node.domain.reasons import Note, Reason
from cxr_node.report import codes
from cxr_node.report.languages.language import Phrases, Terms, translation

FRENCH = translation(
    Code(value="fr", scheme_designator="RFC5646", meaning="français"),
    Terms(
        findings={
            "Atelectasis": "Atélectasie",
            "Consolidation": "Condensation pulmonaire",
            "Infiltration": "Infiltrat",
            "Pneumothorax": "Pneumothorax",
            "Edema": "Œdème pulmonaire",
            "Emphysema": "Emphysème pulmonaire",
            "Fibrosis": "Fibrose pulmonaire",
            "Effusion": "Épanchement pleural",
            "Pneumonia": "Pneumonie",
            "Pleural_Thickening": "Épaississement pleural",
            "Cardiomegaly": "Cardiomégalie",
            "Nodule": "Nodule",
            "Mass": "Masse",
            "Hernia": "Hernie diaphragmatique",
            "Lung Lesion": "Lésion",
            "Fracture": "Fracture osseuse",
            "Lung Opacity": "Opacité",
            "Enlarged Cardiomediastinum": "Élargissement cardiomédiastinal",
            "Tuberculosis": "Tuberculose pulmonaire",
        },
        structures={
            codes.LUNG: "poumon",
            codes.PLEURA: "plèvre",
            codes.MEDIASTINUM: "médiastin",
            codes.DIAPHRAGM: "diaphragme",
            codes.HEART: "cœur",
            codes.CHEST: "thorax",
        },
        statements={
            codes.IMAGE_QUALITY: "Qualité d'image",
            codes.UNUSABLE: "Inutilisable - la qualité rend l'image inutilisable",
            codes.ALL_WITHOUT_FINDINGS: "Tous les algorithmes ont abouti ; sans anomalie détectée",
            codes.ALL_WITH_FINDINGS: "Tous les algorithmes ont abouti ; anomalies détectées",
            codes.PART_WITHOUT_FINDINGS: "Algorithmes en partie aboutis ; sans anomalie détectée",
            codes.PART_WITH_FINDINGS: "Algorithmes en partie aboutis ; anomalies détectées",
            codes.NONE_SUCCEEDED: "Aucun algorithme n'a abouti ; sans anomalie détectée",
        },
        presences={
            Presence.PRESENT: "présent(e)",
            Presence.ABSENT: "absent(e)",
            Presence.UNDETERMINED: "indéterminé(e)",
        },
        sides={Laterality.RIGHT: "côté droit", Laterality.LEFT: "côté gauche", Laterality.BILATERAL: "bilatéral"},
        views={View.PA: "postéro-antérieure", View.AP: "antéro-postérieure", View.LATERAL: "de profil"},
        measurements={
            "CTR": "Index cardiothoracique",
            "MTCD": "Diamètre cardiaque transverse maximal",
            "MITD": "Diamètre thoracique interne maximal",
        },
        reasons={
            Reason.BODY_PART: "N'est pas une radiographie thoracique",
            Reason.NOT_HUMAN: "Le patient n'est pas humain",
            Reason.VIEW: "Pas une incidence de face, ou incidence inconnue",
            Reason.AGE: "Patient plus jeune que l'âge configuré",
            Reason.FOR_PROCESSING: "Image For Processing et non For Presentation",
            Reason.MULTI_FRAME: "L'image compte plus d'une trame",
            Reason.NO_PIXELS: "L'objet ne contient pas de données de pixels",
            Reason.TOO_LARGE: "Image plus grande que la taille configurée",
            Reason.DECODE: "Données de pixels impossibles à décoder",
            Reason.COLOR: "L'image n'est pas en niveaux de gris",
            Reason.QUALITY: "Qualité d'image insuffisante",
            Reason.UNUSUAL: "Image différente de celles pour lesquelles le modèle est fait",
            Reason.DUPLICATE: "Même SOP Instance UID avec un autre contenu",
            Reason.IDENTITY: "Les images de l'étude désignent des patients différents",
            Reason.MODEL_ERROR: "Le modèle a échoué sur cette image",
            Reason.TIMEOUT: "L'analyse a duré trop longtemps",
            Reason.RESULT: "Le résultat n'a pas passé le contrôle avant envoi",
        },
        notes={
            Note.POLARITY_CORRECTED: "Photometric Interpretation contredit l'image ; corrigé",
            Note.POLARITY_CONTRADICTORY: "Presentation LUT Shape contradictoire ; non suivi",
            Note.BURNED_IN_TEXT: "Du texte est incrusté dans l'image",
            Note.NO_VOI: "Ni fenêtre ni VOI LUT utilisables ; gris tirés des pixels",
            Note.VIEW_GUESSED: "View Position absent ; incidence tirée du texte descriptif",
            Note.VIEW_DOUBTED: "Incidence indiquée douteuse : l'image en montre une autre",
            Note.ROTATED: "Image tournée en orientation standard avant l'analyse",
            Note.SHUTTER: "Zone hors de l'obturateur d'affichage ignorée",
        },
    ),
    Phrases(
        caution=(
            "RÉSERVÉ À LA RECHERCHE. Résultat produit par ordinateur, ni relu ni validé par un médecin ; "
            "ne pas utiliser pour le diagnostic."
        ),
        no_finding="Aucune anomalie au-dessus du seuil de décision. Cela n'exclut pas une maladie.",
        no_targets="Le modèle n'a recherché aucune anomalie.",
        score_meaning="Un score n'est pas une probabilité.",
        finding="{finding}{places} : {presence}, score {score} sur 100, seuil de décision {operating_point}.",
        places=" ({places})",
        absent_findings="Recherché et non vu : {findings}.",
        not_analysed="Non analysé : {reason}{detail}.",
        detail=" ({detail})",
        note="Remarque : {note}.",
        measurement="{measurement} {value}{unit}.",
        film="Cliché {ordinal}{view} : ",
        decimal_sign=",",
    ),
)
