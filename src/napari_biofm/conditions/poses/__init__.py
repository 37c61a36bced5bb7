"""Poses of compounds in a receptor, as docking programs write them: read, checked, compared, drawn (extra `poses`)."""
