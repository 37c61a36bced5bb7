"""Pixels -> masks, feature maps, clicks. No Qt, no napari; torch only inside the adapters."""
