"""Training of segmenters on the user's own masks."""
