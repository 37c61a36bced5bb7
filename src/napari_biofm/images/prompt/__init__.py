"""Masks from prompts: promptable models, flow basins, level sets, and propagation to other planes."""
