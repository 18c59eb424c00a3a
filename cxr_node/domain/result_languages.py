"""Names of the languages of results, as the settings have them; each is a file of `report/languages`."""

LANGUAGE_NAMES = ("en", "zh", "de", "es", "fr", "ja")
