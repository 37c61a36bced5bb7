"""Docks. One per file or folder; thin: they read the session and call the rooms through the engine."""
