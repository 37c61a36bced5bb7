"""Cells: masks and feature maps -> one table of cells, and the heads that turn vectors into states.

Nothing heavy is imported here: AnnData, scikit-learn and torch come in where they are used.
"""
