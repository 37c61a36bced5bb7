"""Which model: what is known of it, where its weights lie, and what device runs it."""
