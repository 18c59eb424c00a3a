"""Cards."""

import pytest

from cxr_node.domain.identifiers import digest_of
from cxr_node.infer import card
from tests.support import tiny_bundles


def test_a_card_describes_the_network() -> None:
    read = card.parse(tiny_bundles.card(b"weights").encode())

    assert (read.name, read.version) == ("tiny", "1.2.3")
    assert read.labels[0].code.code.meaning == "Opacity"
    assert read.point_of(read.labels[0]).undetermined_to == 0.6


@pytest.mark.parametrize(
    ("pattern", "replacement", "named"),
    [
        (r'manufacturer = "The tests"', "", "manufacturer"),
        (r"rows = 32", 'rows = "32"', "input.rows"),
        (r"rows = 32", "rows = 32\nsize = 32", "input.size"),
        (r"window = .*", "window = [0.0, 0.8, 1.0, 0.2]", "input"),
        (r'version = "1.2.3"', 'version = "new"', "version"),
        (r'"112001"', '"a value longer than sixteen"', "labels.0.code.value"),
        (r"undetermined_to = 0.6", "undetermined_to = 0.45", "operating_points.points.0"),
        (r'label = "lung_opacity"', 'label = "effusion"', "lung_opacity"),
        (r'network_sha256 = "\w+"', f'network_sha256 = "{"0" * 64}"', "operating_points.network_sha256"),
        (r'\["finding_logits", "finding_maps"\]', '["finding_maps"]', "network.outputs"),
        (r"value_range = \[0.0, 1.0\]", "value_range = [-1.0, 1.0]", "value_range"),
        (r"schema_version = 1", "schema_version = 2", "schema_version"),
        (r'file = "network.pt2"', 'file = "../network.pt2"', "network.file"),
        (r"score = 0.5", "score = nan", "operating_points.points.0.score"),
    ],
)
def test_a_wrong_card_is_refused_naming_the_key(pattern: str, replacement: str, named: str) -> None:
    text = tiny_bundles.card(b"weights", changes=((pattern, replacement),))

    with pytest.raises(card.CardError) as caught:
        card.parse(text.encode())

    assert named in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"name = ", b""])
def test_what_is_not_a_card_is_refused(content: bytes) -> None:
    with pytest.raises(card.CardError):
        card.parse(content)


def test_an_older_card_has_no_structures_appearance_and_calibration() -> None:
    read = card.parse(tiny_bundles.card(b"weights").encode())

    assert (read.anatomy, read.appearance, read.calibration) == ((), None, None)
    assert read.network.maps_window == [0.0, 0.0, 1.0, 1.0]


STEPS = """preparation = "steps"
steps = { fit = "center-crop", shorter_side = 40, channels = 3, mean = [0.5], deviation = [0.1, 0.2, 0.3] }"""


def test_a_card_states_the_steps_of_its_preparation() -> None:
    read = card.parse(tiny_bundles.card(b"weights", changes=(('preparation = "squash-area"', STEPS),)).encode())

    frame = read.input.frame
    assert read.input.shape == (3, 32, 32)
    assert (frame.recipe, frame.steps.fit, frame.steps.shorter_side) == ("steps", "center-crop", 40)
    assert (frame.steps.mean, frame.steps.deviation) == ((0.5, 0.5, 0.5), (0.1, 0.2, 0.3))
    assert "shorter_side=40 channels=3" in read.input.identity


@pytest.mark.parametrize(
    ("pattern", "replacement", "named"),
    [
        ("channels = 3", "channels = 4", "input.steps.channels"),
        ("shorter_side = 40", "shorter_side = 31", "steps.shorter_side"),
        ("channels = 3", "channels = 2", "one for each channel"),
        ("0.3]", "0.0]", "deviation above 0"),
        ('fit = "center-crop"', 'fit = "squash"', "shorter_side belongs to"),
        ('fit = "center-crop", shorter_side = 40', 'fit = "letterbox"', "no maps with it"),
        ('preparation = "steps"', 'preparation = "squash-area"', "input.steps"),
        ("steps = .*", "", "a table"),
    ],
)
def test_steps_that_contradict_each_other_are_refused(pattern: str, replacement: str, named: str) -> None:
    changed = (('preparation = "squash-area"', STEPS), (pattern, replacement))

    with pytest.raises(card.CardError, match=named):
        card.parse(tiny_bundles.card(b"weights", changes=changed).encode())


def test_a_card_describes_every_output() -> None:
    changes = ((r"(outputs = .*)", r"\1\nmaps_window = [0.1, 0.2, 0.9, 0.8]"),)

    read = card.parse(tiny_bundles.whole_card(b"weights", changes=changes).encode())

    assert read.anatomy == tiny_bundles.STRUCTURES
    assert read.network.maps_window == [0.1, 0.2, 0.9, 0.8]
    assert read.appearance is not None
    assert read.appearance.distance_limit == 4.0
    assert read.calibration is not None
    assert read.calibration.method == "isotonic"


def by_ratio(digest: str, limits: str = "{ score = 0.5, undetermined_from = 0.5, undetermined_to = 0.5 }") -> str:
    """Return the table of the finding by the ratio."""
    return f'\n[cardiomegaly_by_ratio]\nnetwork_sha256 = "{digest}"\npa = {limits}\nap = {limits}\n'


@pytest.mark.parametrize(
    ("pattern", "replacement", "named"),
    [
        (r'"finding_logits", "finding_maps", ', "", "expected finding_logits among them with labels"),
        (r"\[\[labels\]\]\n(.*\n)+?(?=\n\[)", "", "operating_points.points: expected one for each of"),
    ],
)
def test_labels_and_their_outputs_belong_together(pattern: str, replacement: str, named: str) -> None:
    text = tiny_bundles.whole_card(b"weights", changes=((pattern, replacement),))

    with pytest.raises(card.CardError) as caught:
        card.parse(text.encode())

    assert named in str(caught.value)


def test_a_card_offers_cardiomegaly_by_the_ratio() -> None:
    table = by_ratio(digest_of(b"weights"))

    read = card.parse((tiny_bundles.whole_card(b"weights") + table).encode())

    assert read.cardiomegaly_by_ratio is not None
    assert read.cardiomegaly_by_ratio.ap.score == 0.5


@pytest.mark.parametrize(
    ("text", "table", "named"),
    [
        (tiny_bundles.card(b"weights"), by_ratio(digest_of(b"weights")), "cardiomegaly_by_ratio: expected heart"),
        (tiny_bundles.whole_card(b"weights"), by_ratio("0" * 64), "cardiomegaly_by_ratio.network_sha256"),
        (
            tiny_bundles.whole_card(b"weights"),
            by_ratio(digest_of(b"weights"), "{ score = 0.5, undetermined_from = 0.6, undetermined_to = 0.7 }"),
            "cardiomegaly_by_ratio.pa",
        ),
        (tiny_bundles.card(b"weights").replace("lung_opacity", "cardiomegaly_by_ratio"), "", "that of the finding"),
    ],
)
def test_a_wrong_table_of_the_ratio_is_refused_naming_the_key(text: str, table: str, named: str) -> None:
    with pytest.raises(card.CardError) as caught:
        card.parse((text + table).encode())

    assert named in str(caught.value)


OTHER_NETWORK = f'network_sha256 = "{"0" * 64}"'


@pytest.mark.parametrize(
    ("pattern", "replacement", "named"),
    [
        (r'key = "heart"', 'key = "liver"', "structures.2.key"),
        (r'key = "heart"', 'key = "left_lung"', "structures: a key is there twice"),
        (r'\[\[structures\]\]\nkey = "\w+"\n', "", "structures: expected one"),
        (r'"structure_logits", ', "", "structures: expected one"),
        (r'"distance"', '"view_logits"', "network.outputs: a name is there twice"),
        (r', "distance"', "", "appearance: expected with the outputs"),
        (r"\[appearance\]\n.*\n.*\n.*\n", "", "appearance: expected with the outputs"),
        (r'\["PA", "AP"', '["AP", "PA"', "order of view_logits"),
        (r"distance_limit = 4.0", "distance_limit = 0.0", "appearance.distance_limit"),
        (r"distance_limit = 4.0", "distance_limit = inf", "appearance.distance_limit"),
        (r'(distance_limit = 4.0)\nnetwork_sha256 = "\w+"', rf"\1\n{OTHER_NETWORK}", "appearance.network_sha256"),
        (r'(prevalence = 0.4)\nnetwork_sha256 = "\w+"', rf"\1\n{OTHER_NETWORK}", "calibration.network_sha256"),
        (r"\[calibration\]\n(.*\n)+", "", r"needs a [calibration]"),
        (r"ece_low = 0.02", "ece_low = 0.04", "calibration"),
        (r"isotonic", "guessing", "calibration.method"),
        (r"(outputs = .*)", r"\1\nmaps_window = [0.9, 0.2, 0.1, 0.8]", "maps_window"),
    ],
)
def test_a_card_that_contradicts_its_network_is_refused_naming_the_key(
    pattern: str, replacement: str, named: str
) -> None:
    text = tiny_bundles.whole_card(b"weights", changes=((pattern, replacement),))

    with pytest.raises(card.CardError) as caught:
        card.parse(text.encode())

    assert named in str(caught.value)
