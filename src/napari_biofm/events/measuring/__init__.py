"""Every number of an event, measured on the recorded trace: one core for all detectors and for events set by hand."""
