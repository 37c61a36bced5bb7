"""What the Timeline dock decides: movie, cells and recording in play, and slider and time in step."""
