"""What is said: the bytes of a record and the feed it stands in. Pure; imports nothing of ours."""
