"""The database's shape over time: Alembic revisions made of frozen SQL."""
