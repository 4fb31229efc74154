"""Custody: which node has held which records since when, in its own signed words."""
