"""Japanese."""

from cxr_node.domain.codes import Code
from cxr_node.domain.radiograph import View
from cxr_node.domain.reading import Laterality, Presence
from cxr_node.domain.reasons import Note, Reason
from cxr_node.report import codes
from cxr_node.report.languages.language import Phrases, Terms, translation

JAPANESE = translation(
    Code(value="ja", scheme_designator="RFC5646", meaning="日本語"),
    Terms(
        findings={
            "Atelectasis": "無気肺",
            "Consolidation": "肺コンソリデーション",
            "Infiltration": "浸潤影",
            "Pneumothorax": "気胸",
            "Edema": "肺水腫",
            "Emphysema": "肺気腫",
            "Fibrosis": "肺線維症",
            "Effusion": "胸水",
            "Pneumonia": "肺炎",
            "Pleural_Thickening": "胸膜肥厚",
            "Cardiomegaly": "心拡大",
            "Nodule": "結節",
            "Mass": "腫瘤",
            "Hernia": "横隔膜ヘルニア",
            "Lung Lesion": "病変",
            "Fracture": "骨折",
            "Lung Opacity": "陰影",
            "Enlarged Cardiomediastinum": "心縦隔陰影の拡大",
            "Tuberculosis": "肺結核",
        },
        structures={
            codes.LUNG: "肺",
            codes.PLEURA: "胸膜",
            codes.MEDIASTINUM: "縦隔",
            codes.DIAPHRAGM: "横隔膜",
            codes.HEART: "心臓",
            codes.CHEST: "胸部",
        },
        statements={
            codes.IMAGE_QUALITY: "画質",
            codes.UNUSABLE: "使用不可 - 画質のため画像を使用できない",
            codes.ALL_WITHOUT_FINDINGS: "全アルゴリズム成功、所見なし",
            codes.ALL_WITH_FINDINGS: "全アルゴリズム成功、所見あり",
            codes.PART_WITHOUT_FINDINGS: "一部のアルゴリズムが不成功、所見なし",
            codes.PART_WITH_FINDINGS: "一部のアルゴリズムが不成功、所見あり",
            codes.NONE_SUCCEEDED: "全アルゴリズム不成功、所見なし",
        },
        presences={Presence.PRESENT: "あり", Presence.ABSENT: "なし", Presence.UNDETERMINED: "判定不能"},
        sides={Laterality.RIGHT: "右", Laterality.LEFT: "左", Laterality.BILATERAL: "両側"},
        views={View.PA: "後前方向", View.AP: "前後方向", View.LATERAL: "側面"},
        measurements={"CTR": "心胸郭比", "MTCD": "心横径の最大値", "MITD": "胸郭内径の最大値"},
        reasons={
            Reason.BODY_PART: "胸部X線画像ではない",
            Reason.NOT_HUMAN: "患者がヒトではない",
            Reason.VIEW: "正面像ではない、または撮影方向が不明",
            Reason.AGE: "患者が設定年齢より若い",
            Reason.FOR_PROCESSING: "For Presentationではなく、For Processingの画像",
            Reason.MULTI_FRAME: "画像が複数フレームからなる",
            Reason.NO_PIXELS: "オブジェクトに画素データがない",
            Reason.TOO_LARGE: "画像が設定サイズより大きい",
            Reason.DECODE: "画素データを復号できない",
            Reason.COLOR: "グレースケール画像ではない",
            Reason.QUALITY: "画質が不十分",
            Reason.UNUSUAL: "モデルの対象とする画像と異なる",
            Reason.DUPLICATE: "同じSOP Instance UIDで内容が異なる",
            Reason.IDENTITY: "検査内の画像で患者情報が一致しない",
            Reason.MODEL_ERROR: "この画像でモデルが失敗した",
            Reason.TIMEOUT: "解析が時間内に終わらなかった",
            Reason.RESULT: "結果が送信前の検査に合格しなかった",
        },
        notes={
            Note.POLARITY_CORRECTED: "Photometric Interpretationが画像と矛盾、補正済み",
            Note.POLARITY_CONTRADICTORY: "Presentation LUT Shapeに矛盾があり、従わなかった",
            Note.BURNED_IN_TEXT: "画像に文字が焼き込まれている",
            Note.NO_VOI: "ウィンドウもVOI LUTも使用不可、画素値で表示",
            Note.VIEW_GUESSED: "View Positionがなく、撮影方向は説明文による",
            Note.VIEW_DOUBTED: "記載の撮影方向に疑問：画像は別の方向",
            Note.ROTATED: "解析前に画像を標準方向に回転した",
            Note.SHUTTER: "表示シャッター外の領域は無視した",
        },
    ),
    Phrases(
        caution=(
            "研究用途限定。コンピュータが生成した結果であり、医師による確認・検証を受けていません。"
            "診断には使用できません。"
        ),
        no_finding="判定閾値を超える所見はありません。疾患を否定するものではありません。",
        no_targets="モデルはどの所見も検索していません。",
        score_meaning="スコアは確率ではありません。",
        finding="{finding}{places}：{presence}、スコア{score}（100点中）、判定閾値{operating_point}。",
        places="（{places}）",
        absent_findings="検索したが認めず：{findings}。",
        not_analysed="未解析：{reason}{detail}。",
        detail="（{detail}）",
        note="注記：{note}。",
        measurement="{measurement} {value}{unit}。",
        film="画像{ordinal}{view}：",
        sentence_separator="",
        list_separator="、",
    ),
)
