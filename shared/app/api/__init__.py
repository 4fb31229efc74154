"""The JSON API: what the pages do, for programs of other offices."""
