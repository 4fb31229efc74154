"""The district 区: the tier that dispatches, supervises and publishes."""
