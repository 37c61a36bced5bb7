"""What controllers share: what is asked of a dock, of a viewer and of its layers."""
