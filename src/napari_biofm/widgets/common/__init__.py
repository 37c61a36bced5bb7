"""What all docks share: the base dock, its opening, its event loop and its layers."""
