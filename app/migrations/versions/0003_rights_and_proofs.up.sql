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

-- Kinds that go earlier than the rest, on each level (app.studies.clocks): kind -> days.
ALTER TABLE account ADD COLUMN periods JSONB DEFAULT '{}' NOT NULL;
ALTER TABLE study ADD COLUMN periods JSONB DEFAULT '{}' NOT NULL;
ALTER TABLE session ADD COLUMN periods JSONB DEFAULT '{}' NOT NULL;
ALTER TABLE participant ADD COLUMN periods JSONB DEFAULT '{}' NOT NULL;
ALTER TABLE recording ADD COLUMN periods JSONB DEFAULT '{}' NOT NULL;
ALTER TABLE response ADD COLUMN periods JSONB DEFAULT '{}' NOT NULL;
-- What one level says of a kind; words go with the voice they were heard from.
CREATE FUNCTION period_of(kind text, level jsonb) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT LEAST((level ->> 'all')::integer, (level ->> kind)::integer,
        CASE WHEN kind = 'transcript' THEN (level ->> 'audio')::integer END)
$$;
-- app.studies.clocks.days_of: of all levels the shortest wins.
CREATE FUNCTION kept_days(kind text, study_days integer, session_days integer, study jsonb, session jsonb, own jsonb)
RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT LEAST(study_days, session_days, public.period_of(kind, study), public.period_of(kind, session),
        public.period_of(kind, own))
$$;
-- When somebody last took part in the study of this session: what they were let into, or recorded in, ended, or began
-- if it goes on. person NULL: the last of those of this session. Asked of the whole account, whoever asks.
CREATE FUNCTION last_active(session_ uuid, person uuid) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
DECLARE
    reader text := COALESCE(current_setting('junier.reader', true), '');
    support text := COALESCE(current_setting('junier.support', true), '');
    people uuid[] := ARRAY[person];
    at timestamptz;
BEGIN
    IF reader <> '' OR support <> '' THEN
        PERFORM set_config('junier.reader', '', true), set_config('junier.support', '', true);
    END IF;
    IF person IS NULL THEN
        people := ARRAY(
            SELECT participant_id FROM public.invitation WHERE session_id = session_ AND admitted_at IS NOT NULL
            UNION SELECT person_id FROM public.recording WHERE session_id = session_ AND NOT person_is_member
        );
    END IF;
    SELECT max(COALESCE(other.ended_at, took_part.began)) INTO at
    FROM (
        SELECT session_id, admitted_at AS began FROM public.invitation
        WHERE participant_id = ANY (people) AND admitted_at IS NOT NULL
        UNION ALL
        SELECT session_id, created_at FROM public.recording WHERE person_id = ANY (people) AND NOT person_is_member
    ) AS took_part
    JOIN public.session AS other ON other.id = took_part.session_id
    WHERE other.study_id = (SELECT here.study_id FROM public.session AS here WHERE here.id = session_);
    IF reader <> '' OR support <> '' THEN
        PERFORM set_config('junier.reader', reader, true), set_config('junier.support', support, true);
    END IF;
    RETURN at;
END
$$;
-- app.studies.clocks.IDLE: until when something is kept that counts from its person's last activity, by the shortest of all
-- levels; NULL: none says so. own: of the person; began: of the item, while its session goes on.
CREATE FUNCTION idle_until(session_ uuid, person uuid, own jsonb, began timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE AS $$
DECLARE
    days integer;
    ended timestamptz;
BEGIN
    SELECT LEAST((its.periods ->> 'idle')::integer, (one.periods ->> 'idle')::integer, (own ->> 'idle')::integer),
        COALESCE(one.ended_at, began) INTO days, ended
    FROM public.session AS one JOIN public.study AS its ON its.id = one.study_id WHERE one.id = session_;
    IF days IS NULL THEN RETURN NULL; END IF;
    RETURN GREATEST(ended, public.last_active(session_, person)) + make_interval(days => days);
END
$$;
-- What a recording still has; asked: its erasure was asked for, or its consent taken back.
CREATE FUNCTION held_parts(recording uuid) RETURNS TABLE (kind text, asked boolean) LANGUAGE sql STABLE AS $$
    SELECT CASE one.kind WHEN 'camera' THEN 'video' WHEN 'voice' THEN 'audio' ELSE 'screen' END, one.closed_at IS NOT NULL
    FROM public.track AS one WHERE one.recording_id = held_parts.recording AND one.erased_at IS NULL
    UNION
    SELECT 'transcript', one.state = 'erased'
    FROM public.transcript AS one WHERE one.recording_id = held_parts.recording AND one.erased_at IS NULL
$$;

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
-- What app.sessions.policy.due, app.privacy.erasing.policy.after_holds and app.sessions.answering.answers_due say of these
-- sessions; a hold counts until its review date, and what it kept was due then at the earliest.
CREATE FUNCTION tell_due(sessions uuid[]) RETURNS void LANGUAGE sql SET search_path = public, pg_temp AS $$
    WITH held AS (
        SELECT session_id, person_id, bool_or(held_until IS NULL) AS for_good, max(held_until) AS until
        FROM recording WHERE session_id = ANY (sessions) AND held_reason IS NOT NULL AND erased_at IS NULL
        GROUP BY session_id, person_id
    ), item AS (
        SELECT session_id, recording.created_at AS began, CASE WHEN held_reason IS NOT NULL THEN held_until END AS not_before,
            erased_at IS NOT NULL OR restricted_at IS NOT NULL OR held_reason IS NOT NULL AND held_until IS NULL AS kept,
            of.kind, recording.periods AS own, CASE WHEN NOT person_is_member THEN person_id END AS person
        FROM recording JOIN session ON session.id = recording.session_id JOIN study ON study.id = session.study_id,
        LATERAL (
            SELECT 'all' AS kind UNION ALL
            SELECT part.kind FROM held_parts(recording.id) AS part
            WHERE NOT part.asked AND '{}' <> ANY (ARRAY[study.periods, session.periods, recording.periods])
        ) AS of
        WHERE session_id = ANY (sessions) AND recording.state NOT IN ('erased', 'empty')
        UNION ALL
        SELECT note.session_id, note.at, hold.until, COALESCE(hold.for_good, false), 'all', '{}', NULL
        FROM note LEFT JOIN (
            SELECT session_id, bool_or(for_good) AS for_good, max(until) AS until FROM held GROUP BY session_id
        ) AS hold ON hold.session_id = note.session_id
        WHERE note.session_id = ANY (sessions)
        UNION ALL
        SELECT response.session_id, response.answered_at, held.until,
            response.restricted_at IS NOT NULL OR COALESCE(held.for_good, false), 'answers', response.periods,
            response.participant_id
        FROM response LEFT JOIN held ON held.session_id = response.session_id
            AND held.person_id = response.participant_id
        WHERE response.session_id = ANY (sessions) AND response.erased_at IS NULL
    ), told AS (
        SELECT session.id, session.account_id, min(CASE WHEN NOT item.kept AND clock.until IS NOT NULL THEN
            GREATEST(clock.until, item.not_before)
        END) AS due
        FROM session JOIN study ON study.id = session.study_id JOIN item ON item.session_id = session.id,
        LATERAL (SELECT LEAST(COALESCE(session.ended_at, item.began) + make_interval(days => kept_days(
            item.kind, study.retention_days, session.retention_days, study.periods, session.periods, item.own
        )), CASE WHEN study.periods ? 'idle' OR session.periods ? 'idle' OR item.own ? 'idle'
            THEN idle_until(session.id, item.person, item.own, item.began) END) AS until) AS clock
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
    reader text := COALESCE(current_setting('junier.reader', true), '');
BEGIN
    PERFORM set_config('junier.reader', '', true);  -- what is due does not hang on who asks: every session counts
    IF TG_OP = 'DELETE' THEN changed := OLD; ELSE changed := NEW; END IF;
    IF TG_TABLE_NAME = 'study' THEN
        sessions := ARRAY(SELECT id FROM session WHERE study_id = changed.id);
    ELSIF TG_TABLE_NAME = 'session' THEN
        sessions := ARRAY[changed.id];
    ELSIF TG_TABLE_NAME IN ('track', 'transcript') THEN
        sessions := ARRAY(
            SELECT session.id FROM recording
            JOIN session ON session.id = recording.session_id JOIN study ON study.id = session.study_id
            WHERE recording.id = changed.recording_id
              AND '{}' <> ANY (ARRAY[study.periods, session.periods, recording.periods])
        );
        IF sessions = '{}' THEN  -- it goes with its recording
            PERFORM set_config('junier.reader', reader, true);
            RETURN NULL;
        END IF;
    ELSE
        sessions := ARRAY[changed.session_id];
    END IF;
    IF TG_TABLE_NAME IN ('session', 'recording') THEN  -- what else of these people counts from their last activity
        sessions := sessions || ARRAY(
            SELECT DISTINCT theirs.session_id FROM recording AS theirs
            JOIN session AS there ON there.id = theirs.session_id JOIN study ON study.id = there.study_id
            WHERE theirs.person_id IN (
                SELECT participant_id FROM invitation WHERE session_id = ANY (sessions) AND admitted_at IS NOT NULL
                UNION SELECT person_id FROM recording WHERE session_id = ANY (sessions) AND NOT person_is_member
            ) AND (study.periods ? 'idle' OR there.periods ? 'idle' OR theirs.periods ? 'idle')
        );
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('session_due', 0) # hashtextextended(changed.account_id::text, 0));
    PERFORM tell_due(sessions);
    PERFORM set_config('junier.reader', reader, true);
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER tells_due AFTER UPDATE OF retention_days, periods ON study
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION due_changed();
CREATE CONSTRAINT TRIGGER tells_due AFTER DELETE OR UPDATE OF study_id, ended_at, retention_days, periods ON session
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION due_changed();
CREATE CONSTRAINT TRIGGER tells_due
    AFTER INSERT OR DELETE OR UPDATE OF state, created_at, held_reason, held_until, restricted_at, erased_at, periods
    ON recording DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION due_changed();
CREATE CONSTRAINT TRIGGER tells_due AFTER INSERT OR DELETE OR UPDATE OF closed_at, erased_at ON track
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION due_changed();
CREATE CONSTRAINT TRIGGER tells_due AFTER INSERT OR DELETE OR UPDATE OF state, erased_at ON transcript
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION due_changed();
CREATE CONSTRAINT TRIGGER tells_due AFTER INSERT OR DELETE OR UPDATE OF at ON note
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION due_changed();
CREATE CONSTRAINT TRIGGER tells_due
    AFTER INSERT OR DELETE OR UPDATE OF answered_at, restricted_at, erased_at, periods ON response
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
-- Support access: operators stand in the platform's own account (id zero), requests in the customer's.
CREATE TABLE operator (
    name BYTEA NOT NULL,
    email BYTEA NOT NULL,
    email_index BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (email_index)
);
CREATE INDEX ix_operator_account_id ON operator (account_id);
CREATE TABLE operator_link (
    operator_id UUID NOT NULL,
    token_hash BYTEA NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(operator_id) REFERENCES operator (id) ON DELETE CASCADE,
    UNIQUE (token_hash)
);
CREATE INDEX ix_operator_link_account_id ON operator_link (account_id);
CREATE INDEX ix_operator_link_operator_id ON operator_link (operator_id);
CREATE TABLE operator_login (
    operator_id UUID NOT NULL,
    token_hash BYTEA NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    passkey_at TIMESTAMP WITH TIME ZONE,
    challenge_hash BYTEA,
    challenge_until TIMESTAMP WITH TIME ZONE,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(operator_id) REFERENCES operator (id) ON DELETE CASCADE,
    UNIQUE (token_hash)
);
CREATE INDEX ix_operator_login_account_id ON operator_login (account_id);
CREATE INDEX ix_operator_login_operator_id ON operator_login (operator_id);
CREATE TABLE operator_passkey (
    operator_id UUID NOT NULL,
    credential_hash BYTEA NOT NULL,
    credential_id BYTEA NOT NULL,
    public_key BYTEA NOT NULL,
    sign_count BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(operator_id) REFERENCES operator (id) ON DELETE CASCADE,
    UNIQUE (credential_hash)
);
CREATE INDEX ix_operator_passkey_account_id ON operator_passkey (account_id);
CREATE INDEX ix_operator_passkey_operator_id ON operator_passkey (operator_id);
CREATE TABLE support_request (
    operator_id UUID NOT NULL,
    operator_name BYTEA NOT NULL,
    object_kind VARCHAR NOT NULL,
    object_id UUID NOT NULL,
    reason BYTEA NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    answered_at TIMESTAMP WITH TIME ZONE,
    answered_by VARCHAR,
    ends_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    revoked_by VARCHAR,
    used_at TIMESTAMP WITH TIME ZONE,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX ix_support_request_account_id ON support_request (account_id);
CREATE INDEX ix_support_request_operator_id ON support_request (operator_id);
CREATE TABLE support_rule (
    account_id UUID NOT NULL,
    second_operator BOOLEAN DEFAULT false NOT NULL,
    set_at TIMESTAMP WITH TIME ZONE NOT NULL,
    set_by VARCHAR NOT NULL,
    PRIMARY KEY (account_id)
);
ALTER TABLE account ADD COLUMN passkeys_needed BOOLEAN DEFAULT false NOT NULL;
ALTER TABLE login ADD COLUMN way VARCHAR;
ALTER TABLE login ADD COLUMN used_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL;
CREATE INDEX transcript_unsettled ON transcript (recording_id) WHERE state IN ('waiting', 'running', 'failed');
CREATE TABLE orphan (
    place VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (place)
);
ALTER TABLE account ADD COLUMN closed_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE account ADD COLUMN closes_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE account ADD COLUMN closing_asked_by VARCHAR;
ALTER TABLE account ADD COLUMN gone_at TIMESTAMP WITH TIME ZONE;
CREATE TABLE account_certificate (
    state VARCHAR NOT NULL,
    document JSONB NOT NULL,
    signature BYTEA NOT NULL,
    public_key BYTEA NOT NULL,
    issued_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX ix_account_certificate_account_id ON account_certificate (account_id);
-- Members assigned to single sessions. Its session is looked for last: the assignment of a new one is written first.
ALTER TABLE study ADD COLUMN assigned_only BOOLEAN DEFAULT false NOT NULL;
CREATE INDEX study_assigned_only ON study (account_id) WHERE assigned_only;
CREATE TABLE assignment (
    session_id UUID NOT NULL,
    member_id UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (session_id, member_id),
    FOREIGN KEY(session_id) REFERENCES session (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY(member_id) REFERENCES member (id) ON DELETE CASCADE
);
CREATE INDEX ix_assignment_account_id ON assignment (account_id);
CREATE INDEX ix_assignment_member_id ON assignment (member_id);
-- app.accounts.policy.sees_session, for members who are no owners: true, or NULL. Every reading of a session asks it,
-- in rights.sql and in app.accounts.assignments; what stands below a session follows the session. mine: the sessions
-- they are assigned to; limited: the studies seen by those assigned alone. Both are asked once for all rows.
CREATE FUNCTION seen_in(session uuid, study uuid, mine uuid[], limited uuid[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN study <> ALL (limited) OR session = ANY (mine) THEN true END
$$;
CREATE FUNCTION sessions_of(member uuid) RETURNS uuid[] LANGUAGE sql STABLE PARALLEL SAFE COST 1 AS $$
    SELECT COALESCE(array_agg(one.session_id), '{}') FROM public.assignment AS one
    WHERE one.member_id = sessions_of.member
$$;
CREATE FUNCTION limited_studies() RETURNS uuid[] LANGUAGE sql STABLE PARALLEL SAFE COST 1 AS $$
    SELECT COALESCE(array_agg(its.id), '{}') FROM public.study AS its WHERE its.assigned_only
$$;
CREATE FUNCTION seen_by(member uuid, session uuid, study uuid) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE COST 1 AS $$
    SELECT public.seen_in(session, study, public.sessions_of(member), public.limited_studies())
$$;
CREATE FUNCTION seen_session(session uuid) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE COST 1 AS $$
    SELECT true FROM public.session AS its WHERE its.id = seen_session.session
$$;
CREATE FUNCTION seen_recording(recording uuid) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE COST 1 AS $$
    SELECT true FROM public.recording AS its WHERE its.id = seen_recording.recording
$$;
CREATE FUNCTION seen_transcript(transcript uuid) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE COST 1 AS $$
    SELECT true FROM public.transcript AS its WHERE its.id = seen_transcript.transcript
$$;
CREATE FUNCTION seen_response(response uuid) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE COST 1 AS $$
    SELECT true FROM public.response AS its WHERE its.id = seen_response.response
$$;
ALTER TABLE data_request ADD COLUMN way VARCHAR;
ALTER TABLE data_request ADD COLUMN noted_by UUID;
ALTER TABLE data_request ADD COLUMN confirmed_at TIMESTAMP WITH TIME ZONE;
-- What stays of answers under "anonymise": counts of choices, of nobody.
ALTER TABLE study ADD COLUMN ending VARCHAR DEFAULT 'erase' NOT NULL;
CREATE TABLE tally (
    question_id UUID NOT NULL,
    answers INTEGER NOT NULL,
    counts JSONB NOT NULL,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(question_id) REFERENCES question (id) ON DELETE CASCADE,
    UNIQUE (question_id)
);
CREATE INDEX ix_tally_account_id ON tally (account_id);
ALTER TABLE ledger_mark ADD COLUMN serving BIGINT DEFAULT '0' NOT NULL;
ALTER TABLE data_request ADD COLUMN outcome VARCHAR;
ALTER TABLE data_request ADD COLUMN ground VARCHAR;
CREATE TABLE request_item (
    request_id UUID NOT NULL,
    sort VARCHAR NOT NULL,
    item_id UUID NOT NULL,
    ground VARCHAR,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(request_id) REFERENCES data_request (id)
);
CREATE INDEX ix_request_item_account_id ON request_item (account_id);
CREATE INDEX ix_request_item_request_id ON request_item (request_id);
CREATE TABLE supplement (
    session_id UUID NOT NULL,
    participant_id UUID NOT NULL,
    recording_id UUID,
    response_id UUID,
    text BYTEA NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(session_id) REFERENCES session (id),
    FOREIGN KEY(participant_id) REFERENCES participant (id),
    FOREIGN KEY(recording_id) REFERENCES recording (id),
    FOREIGN KEY(response_id) REFERENCES response (id)
);
CREATE INDEX ix_supplement_account_id ON supplement (account_id);
CREATE INDEX ix_supplement_participant_id ON supplement (participant_id);
CREATE INDEX ix_supplement_session_id ON supplement (session_id);

-- Mails about the moment of a session: when it is reminded of, how often it was moved, and who wants none of them.
ALTER TABLE study ADD COLUMN reminder VARCHAR DEFAULT 'day' NOT NULL;
ALTER TABLE session ADD COLUMN moves INTEGER DEFAULT '0' NOT NULL;
ALTER TABLE session ADD COLUMN moved_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE session ADD COLUMN reminding BOOLEAN DEFAULT true NOT NULL;
ALTER TABLE session ADD COLUMN reminded_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE participant ADD COLUMN no_session_mails_at TIMESTAMP WITH TIME ZONE;
CREATE INDEX session_to_remind ON session (starts_at) WHERE state = 'scheduled' AND reminded_at IS NULL;
-- Who outside the account was given what, and that they are told what became of it.
CREATE TABLE disclosure (
    session_id UUID NOT NULL,
    participant_id UUID NOT NULL,
    recipient BYTEA NOT NULL,
    contact BYTEA NOT NULL,
    kinds TEXT[] NOT NULL,
    ground VARCHAR NOT NULL,
    words BYTEA,
    given_on DATE NOT NULL,
    told_before BOOLEAN NOT NULL,
    untold BYTEA,
    hidden_until DATE,
    hidden_ground VARCHAR,
    corrects UUID,
    by UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(session_id) REFERENCES session (id),
    FOREIGN KEY(participant_id) REFERENCES participant (id)
);
CREATE INDEX ix_disclosure_account_id ON disclosure (account_id);
CREATE INDEX ix_disclosure_participant_id ON disclosure (participant_id);
CREATE INDEX ix_disclosure_session_id ON disclosure (session_id);
CREATE TABLE recipient_notice (
    disclosure_id UUID NOT NULL,
    change VARCHAR NOT NULL,
    cause_id UUID NOT NULL,
    receipt VARCHAR NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    told_on DATE,
    ground VARCHAR,
    words BYTEA,
    answered_by UUID,
    answered_at TIMESTAMP WITH TIME ZONE,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(disclosure_id) REFERENCES disclosure (id),
    UNIQUE (disclosure_id, cause_id)
);
CREATE INDEX ix_recipient_notice_account_id ON recipient_notice (account_id);
-- Since when all of a participant is kept and not used, what comes later too; and what becomes of notes about them.
ALTER TABLE participant ADD COLUMN restricted_at TIMESTAMP WITH TIME ZONE;
UPDATE participant SET restricted_at = asked.at FROM (
    SELECT participant_id, min(asked_at) AS at FROM data_request
    WHERE kind IN ('restriction', 'objection') AND state IN ('open', 'in force', 'lifting') GROUP BY participant_id
) AS asked WHERE asked.participant_id = participant.id AND participant.erased_at IS NULL;
ALTER TABLE participant ADD COLUMN leaving_at TIMESTAMP WITH TIME ZONE;
UPDATE participant SET leaving_at = asked.at FROM (
    SELECT person_id, min(asked_at) AS at FROM erasure
    WHERE recording_ids IS NULL AND track_kinds IS NULL GROUP BY person_id
) AS asked WHERE asked.person_id = participant.id;
ALTER TABLE session ADD COLUMN notes_gone_until TIMESTAMP WITH TIME ZONE;
ALTER TABLE erasure ADD COLUMN note_sessions UUID[];
DROP INDEX audit_event_subject;
CREATE INDEX audit_event_subject ON audit_event (account_id, subject, at);
CREATE INDEX session_coming ON session (account_id, starts_at) WHERE state <> 'ended';
