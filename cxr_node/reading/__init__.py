"""Inference orchestration: preprocessing, the network, postprocessing, and the processes beside the network."""
