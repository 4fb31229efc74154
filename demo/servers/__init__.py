"""Private servers from Debian's packages, for story, demo and tests; never a service."""
