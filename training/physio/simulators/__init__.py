"""Synthetic recordings with known events, one file per kind."""
