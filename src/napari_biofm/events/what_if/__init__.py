"""What a cell would do under a command that was not given, learned from the sweeps of a protocol."""
