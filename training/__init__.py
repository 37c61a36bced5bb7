"""How every shipped weight was made: one command each, seeds, reports."""
