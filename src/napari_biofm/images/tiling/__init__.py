"""Images in parts: tiles, blocks, passes over them and what is kept of a pass."""
