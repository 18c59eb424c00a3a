"""QIDO-RS and WADO-RS of films and results that the node holds (PS3.18 sections 10.4 and 10.6)."""
