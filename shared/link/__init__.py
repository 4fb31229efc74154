"""How it travels: frames, the link session (a state machine without I/O), the Carrier port."""
