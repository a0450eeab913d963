-- Rows that rights, proofs and the media plane need; rights, row-level security and doors are said anew after it.
ALTER TABLE node ADD COLUMN country VARCHAR DEFAULT '' NOT NULL;
ALTER TABLE recording ADD COLUMN place VARCHAR;
ALTER TABLE account ADD COLUMN agreement_dated DATE;
ALTER TABLE account ADD COLUMN agreement_accepted_by UUID;
ALTER TABLE data_request ADD COLUMN extended_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE data_request ADD COLUMN extension BYTEA;
ALTER TABLE data_request ADD COLUMN looked_on DATE;
CREATE TABLE address_change (
    participant_id UUID NOT NULL,
    address BYTEA NOT NULL,
    code_hash BYTEA NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    tries INTEGER NOT NULL,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(participant_id) REFERENCES participant (id)
);
CREATE INDEX ix_address_change_account_id ON address_change (account_id);
CREATE INDEX ix_address_change_participant_id ON address_change (participant_id);
CREATE TABLE line_correction (
    transcript_id UUID NOT NULL,
    start_ms INTEGER NOT NULL,
    text BYTEA NOT NULL,
    by VARCHAR NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(transcript_id) REFERENCES transcript (id)
);
CREATE INDEX ix_line_correction_account_id ON line_correction (account_id);
CREATE INDEX ix_line_correction_transcript_id ON line_correction (transcript_id);
CREATE TABLE ledger_mark (
    "only" INTEGER NOT NULL,
    ledger UUID NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY ("only")
);
CREATE TABLE audit_check (
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    events BIGINT NOT NULL,
    broken_at BIGINT,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (account_id)
);
CREATE INDEX ix_audit_check_account_id ON audit_check (account_id);

-- When the first of what is held of a session goes by itself, kept beside the rows it follows from, so that the
-- retention overview reads one index. Written at the end of each transaction, one at a time for each account, after
-- every other lock: so nobody waits in a circle. No foreign key: its check would lock the session's row as well.
CREATE TABLE session_due (
    session_id UUID NOT NULL,
    account_id UUID NOT NULL,
    due TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (session_id)
);
CREATE INDEX session_due_in_order ON session_due (account_id, due, session_id);
-- What app.sessions.policy.due, app.privacy.policy.after_holds and app.sessions.answering.answers_due say of these
-- sessions; a hold counts until its review date, and what it kept was due then at the earliest.
CREATE FUNCTION tell_due(sessions uuid[]) RETURNS void LANGUAGE sql SET search_path = public, pg_temp AS $$
    WITH held AS (
        SELECT session_id, person_id, bool_or(held_until IS NULL) AS for_good, max(held_until) AS until
        FROM recording WHERE session_id = ANY (sessions) AND held_reason IS NOT NULL AND erased_at IS NULL
        GROUP BY session_id, person_id
    ), item AS (
        SELECT session_id, created_at AS began, CASE WHEN held_reason IS NOT NULL THEN held_until END AS not_before,
            erased_at IS NOT NULL OR restricted_at IS NOT NULL OR held_reason IS NOT NULL AND held_until IS NULL AS kept
        FROM recording WHERE session_id = ANY (sessions) AND state NOT IN ('erased', 'empty')
        UNION ALL
        SELECT note.session_id, note.at, hold.until, COALESCE(hold.for_good, false)
        FROM note LEFT JOIN (
            SELECT session_id, bool_or(for_good) AS for_good, max(until) AS until FROM held GROUP BY session_id
        ) AS hold ON hold.session_id = note.session_id
        WHERE note.session_id = ANY (sessions)
        UNION ALL
        SELECT response.session_id, response.answered_at, held.until,
            response.restricted_at IS NOT NULL OR COALESCE(held.for_good, false)
        FROM response LEFT JOIN held ON held.session_id = response.session_id
            AND held.person_id = response.participant_id
        WHERE response.session_id = ANY (sessions) AND response.erased_at IS NULL
    ), told AS (
        SELECT session.id, session.account_id, min(CASE WHEN NOT item.kept AND clock.days IS NOT NULL THEN
            GREATEST(COALESCE(session.ended_at, item.began) + make_interval(days => clock.days), item.not_before)
        END) AS due
        FROM session JOIN study ON study.id = session.study_id JOIN item ON item.session_id = session.id,
        LATERAL (SELECT LEAST(study.retention_days, session.retention_days) AS days) AS clock
        WHERE session.id = ANY (sessions) GROUP BY session.id
    ), gone AS (
        DELETE FROM session_due WHERE session_id = ANY (sessions) AND session_id NOT IN (SELECT id FROM told)
    )
    INSERT INTO session_due AS known (session_id, account_id, due) SELECT id, account_id, due FROM told
    ON CONFLICT (session_id) DO UPDATE SET due = excluded.due WHERE known.due IS DISTINCT FROM excluded.due
$$;
CREATE FUNCTION due_changed() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    changed record;
    sessions uuid[];
BEGIN
    IF TG_OP = 'DELETE' THEN changed := OLD; ELSE changed := NEW; END IF;
    IF TG_TABLE_NAME = 'study' THEN
        sessions := ARRAY(SELECT id FROM session WHERE study_id = changed.id);
    ELSIF TG_TABLE_NAME = 'session' THEN
        sessions := ARRAY[changed.id];
    ELSE
        sessions := ARRAY[changed.session_id];
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('session_due', 0) # hashtextextended(changed.account_id::text, 0));
    PERFORM tell_due(sessions);
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER tells_due AFTER UPDATE OF retention_days ON study
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION due_changed();
CREATE CONSTRAINT TRIGGER tells_due AFTER DELETE OR UPDATE OF study_id, ended_at, retention_days ON session
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION due_changed();
CREATE CONSTRAINT TRIGGER tells_due
    AFTER INSERT OR DELETE OR UPDATE OF state, created_at, held_reason, held_until, restricted_at, erased_at ON recording
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION due_changed();
CREATE CONSTRAINT TRIGGER tells_due AFTER INSERT OR DELETE OR UPDATE OF at ON note
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION due_changed();
CREATE CONSTRAINT TRIGGER tells_due AFTER INSERT OR DELETE OR UPDATE OF answered_at, restricted_at, erased_at ON response
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION due_changed();
SELECT tell_due(ARRAY(SELECT id FROM session));
CREATE INDEX session_in_order ON session (account_id, created_at);
CREATE TABLE job_instruction (
    job_id BIGINT NOT NULL,
    account_id UUID NOT NULL,
    task VARCHAR NOT NULL,
    instruction VARCHAR NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (job_id)
);
CREATE INDEX ix_job_instruction_account_id ON job_instruction (account_id);
-- Jobs that wait while this runs were begun before instructions were noted.
INSERT INTO job_instruction (job_id, account_id, task, instruction)
    SELECT id, (args ->> 'account_id')::uuid, task_name, 'before: instructions were noted' FROM jobs.procrastinate_jobs
    WHERE status IN ('todo', 'doing') AND args ? 'account_id';
CREATE TABLE passkey (
    member_id UUID NOT NULL,
    credential_hash BYTEA NOT NULL,
    credential_id BYTEA NOT NULL,
    public_key BYTEA NOT NULL,
    sign_count BIGINT NOT NULL,
    name BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    last_used_at TIMESTAMP WITH TIME ZONE,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(member_id) REFERENCES member (id) ON DELETE CASCADE,
    UNIQUE (credential_hash)
);
CREATE INDEX ix_passkey_account_id ON passkey (account_id);
CREATE INDEX ix_passkey_member_id ON passkey (member_id);
CREATE TABLE passkey_challenge (
    challenge_hash BYTEA NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (challenge_hash)
);
