"""Analyses of recordings of patch clampers."""
