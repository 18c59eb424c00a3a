"""Names of the kinds of results, as the settings have them, in the order of `report.kinds.registry.RESULT_KINDS`.

They stand here because every command reads the settings, and the registry loads the whole report package.
"""

from typing import Literal, get_args

RESULT_NAMES = (
    "report",
    "report-comprehensive",
    "report-enhanced",
    "text",
    "report-measurements",
    "report-ohif",
    "chest-cad",
    "picture",
    "picture-anatomy",
    "presentation-state",
    "key-images",
    "segmentation",
    "pdf",
)
PAINTED = frozenset({"picture", "picture-anatomy", "pdf"})
"""Results that show the pixels of the film."""

MeasurementName = Literal["CTR"]
"""Code value of a measurement that reports state: the others are in the result of all measurements."""

MEASUREMENT_NAMES: tuple[MeasurementName, ...] = get_args(MeasurementName)
