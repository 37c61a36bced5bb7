"""What was done to a well: plate maps, joins to files and cells, profiles of wells, hits, dose and response."""

from __future__ import annotations
