"""Recording -> events."""
