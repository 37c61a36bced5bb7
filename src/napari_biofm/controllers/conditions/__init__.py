"""What the Conditions dock decides."""
