#!/bin/sh
# Runs once, when the PostgreSQL volume is empty: the roles of app/migrations/roles.sql, with passwords.
set -eu
psql -v ON_ERROR_STOP=1 -U postgres -d junier -f /junier/roles.sql
psql -v ON_ERROR_STOP=1 -U postgres -d junier \
    -v owner="$JUNIER_OWNER_PASSWORD" -v app="$JUNIER_APP_PASSWORD" <<'SQL'
ALTER ROLE junier_owner PASSWORD :'owner';
ALTER ROLE junier_app PASSWORD :'app';
ALTER DATABASE junier OWNER TO junier_owner;
ALTER SCHEMA public OWNER TO junier_owner;
SQL
