"""Results of a study: result kinds, structured reports, pictures, headers, languages, and the check before sending."""
