"""A whole district on one machine."""
