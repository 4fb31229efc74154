"""The HTTP server of a node and the parts of its pages."""
