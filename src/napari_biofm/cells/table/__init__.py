"""The table of cells: measurements, ids, import and export."""
