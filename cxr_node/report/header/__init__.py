"""Header of every result: patient, study, equipment, UIDs, character sets and encoding."""
