"""What is asked of traces of cells: which cells count, what they answer to, how they go together, how they beat."""
