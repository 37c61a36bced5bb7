"""What is behind the Cells dock, without a window: tables of cells that follow their masks, and taught cell states."""
