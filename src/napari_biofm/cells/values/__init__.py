"""Continuous values predicted for cells from their embeddings."""
