"""How the embedded image model was made."""
