"""Alembic runs this file: the revisions over the connection it was given, in its transaction."""

from alembic import context

from shared.log.tables import LOG_TABLES

context.configure(connection=context.config.attributes["connection"], target_metadata=LOG_TABLES)
context.run_migrations()
