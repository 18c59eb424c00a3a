"""Handlers of the stages: read, compose, deliver, commitment."""
