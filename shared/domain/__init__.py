"""What it means: a folder a subject, each with its kinds, its rules and its view."""
