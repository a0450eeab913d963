DO $$
DECLARE
    door regprocedure;
BEGIN
    FOR door IN SELECT p.oid FROM pg_proc p WHERE p.proowner = 'junier_doors'::regrole LOOP
        EXECUTE format('DROP FUNCTION %s', door);
    END LOOP;
END
$$;
ALTER TABLE transcript DROP COLUMN began_at;
DROP INDEX ix_track_recording_id;
DROP INDEX ix_take_resource;
ALTER TABLE study DROP COLUMN questions_words;
DROP INDEX session_of_study;
ALTER TABLE session DROP COLUMN retention_days;
DROP INDEX recording_held;
DROP INDEX ix_recording_person_id;
ALTER TABLE recording DROP COLUMN announced_for;
ALTER TABLE recording DROP COLUMN hidden_at;
ALTER TABLE recording DROP COLUMN held_by;
ALTER TABLE recording DROP COLUMN held_words;
ALTER TABLE participant DROP COLUMN language;
DROP INDEX ix_outgoing_mail_person_id;
ALTER TABLE member DROP COLUMN records_self;
DROP INDEX ix_login_participant_id;
DROP INDEX ix_login_member_id;
DROP INDEX ix_invitation_participant_id;
DROP INDEX ix_erasure_person_id;
ALTER TABLE erasure DROP COLUMN response_ids;
DROP INDEX ix_data_code_participant_id;
DROP INDEX ix_consent_session_id;
DROP INDEX ix_consent_participant_id;
DROP INDEX ix_certificate_erasure_id;
DROP INDEX audit_event_subject;
ALTER TABLE account DROP COLUMN longest_retention_days;
ALTER TABLE account DROP COLUMN retention_days;
DROP INDEX ix_answer_account_id;
DROP TABLE answer;
DROP INDEX ix_response_participant_id;
DROP INDEX ix_response_account_id;
DROP TABLE response;
DROP INDEX ix_member_switch_account_id;
DROP TABLE member_switch;
DROP INDEX ix_question_study_id;
DROP INDEX ix_question_account_id;
DROP TABLE question;
DROP INDEX ix_data_request_participant_id;
DROP INDEX ix_data_request_account_id;
DROP TABLE data_request;
DROP TABLE task_done;
DROP TABLE rate;
