"""upgrade() and downgrade(): Alembic from Python, imported only when there is something to do."""

from __future__ import annotations

from pathlib import Path

import psycopg

from app.database import sqlalchemy_url

VERSIONS = Path(__file__).parent / "versions"
LOCK = 0x6A756E69  # advisory lock: one process migrates, the others wait


def head() -> str:
    """The newest revision, read from the file names (0001_start.py -> 0001)."""
    return max(path.name.split("_")[0] for path in VERSIONS.glob("[0-9]*.py"))


def current(url: str) -> str | None:
    """The revision the database is at, None when it is empty. Any role may ask."""
    with psycopg.connect(url, connect_timeout=5) as connection:
        if connection.execute("SELECT to_regclass('public.alembic_version')").fetchone() == (None,):
            return None
        row = connection.execute("SELECT version_num FROM public.alembic_version").fetchone()
        return None if row is None else str(row[0])


def serves(revision: str | None) -> bool:
    """Whether this program runs on a database at `revision`: its own, or one that a newer program has brought further
    (revisions only add; docs/operators, "Upgrading"). Not on an older one."""
    return revision is not None and revision >= head()


def upgrade(url_owner: str, revision: str = "head", *, rights: bool = True) -> bool:
    """Bring the database to `revision` as junier_owner; True when something was done.
    Safe to run by several processes at once. rights: say rights and doors anew; they fit the newest revision."""
    if current(url_owner) == (head() if revision == "head" else revision):
        return False
    _alembic("upgrade", url_owner, revision, rights=rights)
    return True


def downgrade(url_owner: str, revision: str = "base") -> None:
    _alembic("downgrade", url_owner, revision, rights=False)


def _alembic(verb: str, url_owner: str, revision: str, *, rights: bool) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import NullPool, create_engine

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    engine = create_engine(sqlalchemy_url(url_owner), poolclass=NullPool)
    with psycopg.connect(url_owner, autocommit=True) as waiting, engine.connect() as connection:
        waiting.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        config.attributes |= {"connection": connection, "rights": rights}
        getattr(command, verb)(config, revision)
    engine.dispose()
