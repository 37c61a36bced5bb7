"""Vectors of cells: crops, encoders and the embeddings they give."""
