"""Classes of cells from embeddings: training, scores, active learning."""
