"""Measurements of the product against a straight line and against what we owe: ``make bench``."""
