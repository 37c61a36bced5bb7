"""Images on disk: opened, checked, ordered and normalised."""
