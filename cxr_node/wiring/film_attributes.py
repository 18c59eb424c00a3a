"""Rules by which attributes of films are stored, wired from settings."""

from cxr_node.composing.film_attributes import AttributeRules
from cxr_node.settings.root import Settings


def attribute_rules(settings: Settings) -> AttributeRules:
    """Return the rules of the settings."""
    return AttributeRules(
        keeps_identifiers=settings.identifiers.keep,
        keeps_names=settings.identifiers.keep_names,
        character_sets={row.ae_title: row.character_sets for row in settings.report.character_sets},
    )
