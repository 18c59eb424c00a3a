"""A thorax of known anatomy, projected to a film, and a modality that sends it."""
