"""Detectors from the literature, each named with its source."""
