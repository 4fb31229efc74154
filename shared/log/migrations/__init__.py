"""How the tables of the log grow from version to version: Alembic's revisions, in ``versions``."""
