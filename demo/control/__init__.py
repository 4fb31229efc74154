"""The control page of the demo: all nodes on one page, and what can be done to their lines."""
