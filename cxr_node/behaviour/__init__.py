"""Whether the model still behaves, as arithmetic: days against a reference, values against known ones, two models."""
