"""Analyses described once: the command line, the functions, and the panel *Analyse* follow from the description."""
