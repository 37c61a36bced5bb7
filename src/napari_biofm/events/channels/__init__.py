"""Single-channel recordings: unit currents and idealization."""
