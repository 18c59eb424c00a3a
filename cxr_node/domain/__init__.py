"""Values, identifiers, reasons, errors and geometry that all packages share."""
