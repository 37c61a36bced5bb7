"""Masks of cells in the files of other programs: ImageJ, QuPath, COCO, Cellpose, and plain label images."""
