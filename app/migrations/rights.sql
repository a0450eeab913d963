-- What each role may do, said anew after every upgrade from the catalogue itself, so that no new table can be forgotten:
-- row-level security by account, the application's rights, and none for anybody else. Safe to run any number of times.
DO $rights$
DECLARE
    one record;
    mine text;
    seen text;
    append_only constant text[] := ARRAY['audit_event', 'consent'];  -- rows may be added, never changed or removed
    -- all that is there while an operator reads under a grant (app/support/reading.py); a new table is not
    for_support constant text[] := ARRAY['account', 'study', 'session', 'recording', 'take', 'track', 'transcript',
                                         'line_correction', 'audit_event', 'support_request', 'support_rule'];
    no_follower constant text[] := ARRAY['login', 'assignment'];  -- name a session and show nothing of it
BEGIN
    REVOKE ALL ON ALL TABLES IN SCHEMA public FROM junier_app, junier_doors;
    FOR one IN SELECT tablename AS name FROM pg_policies WHERE schemaname = 'public' AND policyname = 'doors' LOOP
        EXECUTE format('DROP POLICY doors ON %I', one.name);
    END LOOP;
    FOR one IN
        SELECT c.oid, c.relname AS name,
               -- the column that says whose row it is; sign_in_address calls it `account`
               (SELECT a.attname FROM pg_attribute a
                WHERE a.attrelid = c.oid AND NOT a.attisdropped AND a.attname IN ('account_id', 'account')
                ORDER BY a.attname DESC LIMIT 1) AS owner_column,
               (SELECT a.attname FROM pg_attribute a
                WHERE a.attrelid = c.oid AND NOT a.attisdropped
                  AND a.attname IN ('session_id', 'recording_id', 'transcript_id', 'response_id')
                ORDER BY a.attname = 'session_id' DESC, a.attname = 'recording_id' DESC LIMIT 1) AS follows
        FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> 'alembic_version'
    LOOP
        EXECUTE format('GRANT SELECT, INSERT %s ON %I TO junier_app',
                       CASE WHEN one.name = ANY (append_only) THEN '' ELSE ', UPDATE, DELETE' END, one.name);
        CONTINUE WHEN one.owner_column IS NULL;
        mine := 'NULLIF(current_setting(''junier.account_id'', true), '''')::uuid';
        IF one.name <> ALL (for_support) THEN
            -- One comparison with a value: PostgreSQL knows how many rows an account has. Of a second condition, or a
            -- policy of its own, it knows nothing, expects one row in two hundred, and reads the account end to end.
            mine := format('CASE WHEN COALESCE(current_setting(''junier.support'', true), '''') = '''' THEN %s END', mine);
        END IF;
        mine := format('%I = %s', one.owner_column, mine);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', one.name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', one.name);
        EXECUTE format('DROP POLICY IF EXISTS own_account ON %I', one.name);
        EXECUTE format('CREATE POLICY own_account ON %I TO junier_app USING (%s) WITH CHECK (%s)', one.name, mine, mine);
        -- A member whom not every session is shown (junier.reader, app/accounts/login.py) meets the sessions of others, and
        -- all that stands below them, as not there. Asked as IS NOT NULL, which PostgreSQL expects of nearly every row.
        EXECUTE format('DROP POLICY IF EXISTS assigned ON %I', one.name);
        seen := CASE
            WHEN one.name = 'session' THEN
                -- NULLIF: a row that another transaction has just changed is looked at again with all of this worked out
                'seen_in(id, study_id, (SELECT sessions_of(NULLIF(current_setting(''junier.reader'', true), '''')::uuid)), '
                '(SELECT limited_studies()))'
            WHEN one.follows IS NOT NULL AND one.name <> ALL (no_follower) THEN
                format('seen_%s(%I)', replace(one.follows, '_id', ''), one.follows)
        END;
        IF seen IS NOT NULL THEN
            EXECUTE format('CREATE POLICY assigned ON %I AS RESTRICTIVE TO junier_app USING (CASE '
                'WHEN COALESCE(current_setting(''junier.reader'', true), '''') = '''' THEN true ELSE %s END IS NOT NULL)',
                one.name, seen);
        END IF;
        EXECUTE format('DROP POLICY IF EXISTS migrations ON %I', one.name);
        EXECUTE format('CREATE POLICY migrations ON %I TO junier_owner USING (true) WITH CHECK (true)', one.name);
    END LOOP;
    GRANT SELECT ON alembic_version TO junier_app;  -- every role may ask which revision this is
    FOR one IN SELECT p.oid::regprocedure AS name FROM pg_proc p WHERE p.proowner = 'junier_doors'::regrole LOOP
        EXECUTE format('DROP FUNCTION %s', one.name);  -- doors.sql, which follows, makes them anew
    END LOOP;
END
$rights$;
