"""What the Segment dock decides: which pixels, which model, and where masks go."""
