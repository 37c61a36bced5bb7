"""Segmenters: which there are, how they run, and how flows become masks."""
