"""What draws into the layers of a viewer: overlays, previews, event points. Layers and viewers are handed in; no Qt."""
