"""What the docks decide, without a window: no Qt and no napari is imported here; layers and viewers are handed in."""
