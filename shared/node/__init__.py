"""The running node: author, links, views, custody statements, its home. No HTTP."""
