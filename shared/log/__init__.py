"""What is held: acceptance (pure), the Store port, its SQL and in-memory forms, the record log."""
