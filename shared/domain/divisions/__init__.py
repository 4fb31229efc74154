"""Divisions: which nodes the district has, under which names and keys."""
