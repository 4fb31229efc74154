"""The revisions, one a file. Each only adds (docs/adr/0008); a test reads what they do."""
