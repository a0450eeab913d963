-- The reverse, last first.
ALTER TABLE data_request DROP COLUMN confirmed_at;
ALTER TABLE data_request DROP COLUMN noted_by;
ALTER TABLE data_request DROP COLUMN way;
DO $assigned$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT tablename AS name FROM pg_policies WHERE schemaname = 'public' AND policyname = 'assigned' LOOP
        EXECUTE format('DROP POLICY assigned ON %I', one.name);
    END LOOP;
END
$assigned$;
DROP FUNCTION seen_response(uuid);
DROP FUNCTION seen_transcript(uuid);
DROP FUNCTION seen_recording(uuid);
DROP FUNCTION seen_session(uuid);
DROP FUNCTION seen_by(uuid, uuid, uuid);
DROP TABLE assignment;
DROP INDEX study_assigned_only;
ALTER TABLE study DROP COLUMN assigned_only;
ALTER TABLE account DROP COLUMN closed_at;
DROP TABLE orphan;
DROP INDEX transcript_unsettled;
ALTER TABLE login DROP COLUMN used_at;
ALTER TABLE login DROP COLUMN way;
ALTER TABLE account DROP COLUMN passkeys_needed;
DROP TABLE support_rule;
DROP TABLE support_request;
DROP TABLE operator_passkey;
DROP TABLE operator_login;
DROP TABLE operator_link;
DROP TABLE operator;
DROP TABLE passkey_challenge;
DROP TABLE passkey;
DROP TABLE job_instruction;
DROP INDEX session_in_order;
DROP TRIGGER tells_due ON response;
DROP TRIGGER tells_due ON note;
DROP TRIGGER tells_due ON transcript;
DROP TRIGGER tells_due ON track;
DROP TRIGGER tells_due ON recording;
DROP TRIGGER tells_due ON session;
DROP TRIGGER tells_due ON study;
DROP FUNCTION due_changed();
DROP FUNCTION tell_due(uuid[]);
DROP TABLE session_due;
DROP FUNCTION held_parts(uuid);
DROP FUNCTION kept_days(text, integer, integer, jsonb, jsonb, jsonb);
DROP FUNCTION period_of(text, jsonb);
ALTER TABLE response DROP COLUMN periods;
ALTER TABLE recording DROP COLUMN periods;
ALTER TABLE participant DROP COLUMN periods;
ALTER TABLE session DROP COLUMN periods;
ALTER TABLE study DROP COLUMN periods;
ALTER TABLE account DROP COLUMN periods;
DROP TABLE audit_check;
DROP TABLE ledger_mark;
DROP TABLE line_correction;
DROP TABLE address_change;
ALTER TABLE data_request DROP COLUMN looked_on;
ALTER TABLE data_request DROP COLUMN extension;
ALTER TABLE data_request DROP COLUMN extended_at;
ALTER TABLE account DROP COLUMN agreement_accepted_by;
ALTER TABLE account DROP COLUMN agreement_dated;
ALTER TABLE recording DROP COLUMN place;
ALTER TABLE node DROP COLUMN country;
