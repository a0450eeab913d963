-- The three roles of Junier, made once by a superuser; safe to run twice. Passwords are set apart from this
-- file (embedded PostgreSQL needs none: its socket is closed to everybody else).
--   junier_owner  owns the tables and migrates
--   junier_app    serves web, media and workers; row-level security binds it
--   junier_doors  owns the few functions that find an account by a hash; cannot connect
DO $roles$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'junier_owner') THEN
        CREATE ROLE junier_owner LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'junier_app') THEN
        CREATE ROLE junier_app LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'junier_doors') THEN
        CREATE ROLE junier_doors NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
    END IF;
END
$roles$;
GRANT junier_doors TO junier_owner;
