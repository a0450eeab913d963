-- Follows doors.sql: its functions run as junier_doors and open for the application alone.
DO $close$
DECLARE
    one record;
BEGIN
    GRANT USAGE ON SCHEMA public TO junier_doors, junier_app;
    GRANT CREATE ON SCHEMA public TO junier_doors;  -- the new owner of a function needs it at this moment only
    FOR one IN
        SELECT p.oid::regprocedure AS name FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef AND p.proowner = 'junier_owner'::regrole
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', one.name);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO junier_app', one.name);
        EXECUTE format('ALTER FUNCTION %s OWNER TO junier_doors', one.name);
    END LOOP;
    REVOKE CREATE ON SCHEMA public FROM junier_doors;
    FOR one IN
        SELECT DISTINCT table_name AS name FROM information_schema.column_privileges
        WHERE table_schema = 'public' AND grantee = 'junier_doors'
    LOOP
        EXECUTE format('CREATE POLICY doors ON %I FOR SELECT TO junier_doors USING (true)', one.name);
    END LOOP;
END
$close$;
