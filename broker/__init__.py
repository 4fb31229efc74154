"""The carriers: how frames travel between two nodes."""
