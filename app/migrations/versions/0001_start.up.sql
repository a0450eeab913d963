-- Frozen by app/migrations/freeze.py; see there.

CREATE TABLE account (
	account_id UUID NOT NULL,
	name VARCHAR NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	agreement_accepted_at TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (account_id)
);
CREATE TABLE audit_event (
	number BIGINT NOT NULL,
	at TIMESTAMP WITH TIME ZONE NOT NULL,
	actor VARCHAR NOT NULL,
	action VARCHAR NOT NULL,
	subject VARCHAR NOT NULL,
	facts JSONB NOT NULL,
	previous_hash BYTEA NOT NULL,
	hash BYTEA NOT NULL,
	id UUID NOT NULL,
	account_id UUID NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (account_id, number)
);
CREATE INDEX ix_audit_event_account_id ON audit_event (account_id);
CREATE TABLE certificate (
	erasure_id UUID NOT NULL,
	state VARCHAR NOT NULL,
	document JSONB NOT NULL,
	signature BYTEA NOT NULL,
	public_key BYTEA NOT NULL,
	issued_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	id UUID NOT NULL,
	account_id UUID NOT NULL,
	PRIMARY KEY (id)
);
CREATE INDEX ix_certificate_account_id ON certificate (account_id);
CREATE TABLE erasure (
	reason VARCHAR NOT NULL,
	person_id UUID NOT NULL,
	recording_ids UUID[],
	track_kinds TEXT[],
	asked_by VARCHAR NOT NULL,
	instruction VARCHAR NOT NULL,
	state VARCHAR NOT NULL,
	asked_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	tried_at TIMESTAMP WITH TIME ZONE,
	finished_at TIMESTAMP WITH TIME ZONE,
	tries INTEGER NOT NULL,
	receipt VARCHAR NOT NULL,
	found JSONB NOT NULL,
	id UUID NOT NULL,
	account_id UUID NOT NULL,
	PRIMARY KEY (id)
);
CREATE INDEX ix_erasure_account_id ON erasure (account_id);
CREATE TABLE job_failure (
	id BIGINT GENERATED ALWAYS AS IDENTITY,
	job_id BIGINT NOT NULL,
	task VARCHAR NOT NULL,
	exception VARCHAR NOT NULL,
	place VARCHAR NOT NULL,
	at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id)
);
CREATE TABLE login (
	token_hash BYTEA NOT NULL,
	scope VARCHAR NOT NULL,
	member_id UUID,
	participant_id UUID,
	session_id UUID,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
	data_until TIMESTAMP WITH TIME ZONE,
	id UUID NOT NULL,
	account_id UUID NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (token_hash)
);
CREATE INDEX ix_login_account_id ON login (account_id);
CREATE TABLE member (
	role VARCHAR NOT NULL,
	name BYTEA NOT NULL,
	email BYTEA NOT NULL,
	email_index BYTEA NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	removed_at TIMESTAMP WITH TIME ZONE,
	id UUID NOT NULL,
	account_id UUID NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (account_id, email_index)
);
CREATE INDEX ix_member_account_id ON member (account_id);
CREATE TABLE node (
	name VARCHAR NOT NULL,
	url VARCHAR NOT NULL,
	capacity INTEGER NOT NULL,
	streams INTEGER NOT NULL,
	started_at TIMESTAMP WITH TIME ZONE NOT NULL,
	heartbeat_at TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (name)
);
CREATE TABLE outgoing_mail (
	person_id UUID NOT NULL,
	template VARCHAR NOT NULL,
	optional BOOLEAN NOT NULL,
	key VARCHAR NOT NULL,
	content BYTEA NOT NULL,
	state VARCHAR NOT NULL,
	tries INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	sent_at TIMESTAMP WITH TIME ZONE,
	id UUID NOT NULL,
	account_id UUID NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (account_id, key)
);
CREATE INDEX ix_outgoing_mail_account_id ON outgoing_mail (account_id);
CREATE TABLE participant (
	name BYTEA,
	email BYTEA,
	email_index BYTEA,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	registered_at TIMESTAMP WITH TIME ZONE,
	erased_at TIMESTAMP WITH TIME ZONE,
	id UUID NOT NULL,
	account_id UUID NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (account_id, email_index)
);
CREATE INDEX ix_participant_account_id ON participant (account_id);
CREATE TABLE sign_in_address (
	address_hash BYTEA NOT NULL,
	account UUID NOT NULL,
	member UUID NOT NULL,
	PRIMARY KEY (address_hash, account)
);
CREATE TABLE study (
	title VARCHAR NOT NULL,
	contact_name BYTEA NOT NULL,
	contact_email BYTEA NOT NULL,
	kinds TEXT[] NOT NULL,
	language VARCHAR NOT NULL,
	retention_days INTEGER,
	retention_version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	closed_at TIMESTAMP WITH TIME ZONE,
	id UUID NOT NULL,
	account_id UUID NOT NULL,
	PRIMARY KEY (id)
);
CREATE INDEX ix_study_account_id ON study (account_id);
CREATE TABLE suppression (
	address_index BYTEA NOT NULL,
	at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	id UUID NOT NULL,
	account_id UUID NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (account_id, address_index)
);
CREATE INDEX ix_suppression_account_id ON suppression (account_id);
CREATE TABLE consent_text (
	study_id UUID NOT NULL,
	version INTEGER NOT NULL,
	text VARCHAR NOT NULL,
	language VARCHAR NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	id UUID NOT NULL,
	account_id UUID NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (study_id, version),
	FOREIGN KEY(study_id) REFERENCES study (id) ON DELETE CASCADE
);
CREATE INDEX ix_consent_text_account_id ON consent_text (account_id);
CREATE TABLE data_code (
	participant_id UUID NOT NULL,
	code_hash BYTEA NOT NULL,
	expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
	tries INTEGER NOT NULL,
	used_at TIMESTAMP WITH TIME ZONE,
	id UUID NOT NULL,
	account_id UUID NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(participant_id) REFERENCES participant (id)
);
CREATE INDEX ix_data_code_account_id ON data_code (account_id);
CREATE TABLE session (
	study_id UUID NOT NULL,
	title VARCHAR NOT NULL,
	starts_at TIMESTAMP WITH TIME ZONE,
	time_zone VARCHAR NOT NULL,
	"group" BOOLEAN NOT NULL,
	state VARCHAR NOT NULL,
	recording VARCHAR NOT NULL,
	node VARCHAR,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	started_at TIMESTAMP WITH TIME ZONE,
	recording_at TIMESTAMP WITH TIME ZONE,
	ended_at TIMESTAMP WITH TIME ZONE,
	id UUID NOT NULL,
	account_id UUID NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(study_id) REFERENCES study (id) ON DELETE CASCADE
);
CREATE INDEX ix_session_account_id ON session (account_id);
CREATE TABLE sign_in_link (
	member_id UUID NOT NULL,
	token_hash BYTEA NOT NULL,
	expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
	used_at TIMESTAMP WITH TIME ZONE,
	id UUID NOT NULL,
	account_id UUID NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(member_id) REFERENCES member (id) ON DELETE CASCADE,
	UNIQUE (token_hash)
);
CREATE INDEX ix_sign_in_link_account_id ON sign_in_link (account_id);
CREATE TABLE consent (
	number BIGINT GENERATED ALWAYS AS IDENTITY,
	participant_id UUID NOT NULL,
	session_id UUID NOT NULL,
	kind VARCHAR NOT NULL,
	purpose VARCHAR NOT NULL,
	given BOOLEAN NOT NULL,
	text_version INTEGER NOT NULL,
	text_hash BYTEA NOT NULL,
	language VARCHAR NOT NULL,
	at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
	id UUID NOT NULL,
	account_id UUID NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(participant_id) REFERENCES participant (id),
	FOREIGN KEY(session_id) REFERENCES session (id)
);
CREATE INDEX ix_consent_account_id ON consent (account_id);
CREATE TABLE invitation (
	session_id UUID NOT NULL,
	participant_id UUID NOT NULL,
	token_hash BYTEA NOT NULL,
	unsubscribe_hash BYTEA NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
	accepted_at TIMESTAMP WITH TIME ZONE,
	revoked_at TIMESTAMP WITH TIME ZONE,
	admitted_at TIMESTAMP WITH TIME ZONE,
	paused_at TIMESTAMP WITH TIME ZONE,
	id UUID NOT NULL,
	account_id UUID NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (session_id, participant_id),
	FOREIGN KEY(session_id) REFERENCES session (id),
	FOREIGN KEY(participant_id) REFERENCES participant (id),
	UNIQUE (token_hash),
	UNIQUE (unsubscribe_hash)
);
CREATE INDEX ix_invitation_account_id ON invitation (account_id);
CREATE TABLE note (
	session_id UUID NOT NULL,
	member_id UUID NOT NULL,
	at TIMESTAMP WITH TIME ZONE NOT NULL,
	text BYTEA NOT NULL,
	id UUID NOT NULL,
	account_id UUID NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(session_id) REFERENCES session (id) ON DELETE CASCADE
);
CREATE INDEX ix_note_account_id ON note (account_id);
CREATE INDEX ix_note_session_id ON note (session_id);
CREATE TABLE presence (
	session_id UUID NOT NULL,
	person_id UUID NOT NULL,
	role VARCHAR NOT NULL,
	seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
	id UUID NOT NULL,
	account_id UUID NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (session_id, person_id),
	FOREIGN KEY(session_id) REFERENCES session (id) ON DELETE CASCADE
);
CREATE INDEX ix_presence_account_id ON presence (account_id);
CREATE TABLE recording (
	session_id UUID NOT NULL,
	person_id UUID NOT NULL,
	person_is_member BOOLEAN NOT NULL,
	stream VARCHAR NOT NULL,
	state VARCHAR NOT NULL,
	failure_reason VARCHAR,
	interrupted BOOLEAN NOT NULL,
	last_take INTEGER NOT NULL,
	index_generation INTEGER NOT NULL,
	index_key VARCHAR,
	recorded_at TIMESTAMP WITH TIME ZONE,
	duration_ms INTEGER,
	gaps JSONB NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	held_reason VARCHAR,
	held_until TIMESTAMP WITH TIME ZONE,
	restricted_at TIMESTAMP WITH TIME ZONE,
	erased_at TIMESTAMP WITH TIME ZONE,
	id UUID NOT NULL,
	account_id UUID NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (session_id, person_id, stream),
	FOREIGN KEY(session_id) REFERENCES session (id)
);
CREATE INDEX ix_recording_account_id ON recording (account_id);
CREATE TABLE take (
	recording_id UUID NOT NULL,
	number INTEGER NOT NULL,
	node VARCHAR NOT NULL,
	resource VARCHAR NOT NULL,
	started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	ended_at TIMESTAMP WITH TIME ZONE,
	interrupted BOOLEAN NOT NULL,
	id UUID NOT NULL,
	account_id UUID NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (recording_id, number),
	FOREIGN KEY(recording_id) REFERENCES recording (id)
);
CREATE INDEX ix_take_account_id ON take (account_id);
CREATE TABLE track (
	recording_id UUID NOT NULL,
	kind VARCHAR NOT NULL,
	frames INTEGER NOT NULL,
	bytes BIGINT NOT NULL,
	duration_ms INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	closed_at TIMESTAMP WITH TIME ZONE,
	erased_at TIMESTAMP WITH TIME ZONE,
	id UUID NOT NULL,
	account_id UUID NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(recording_id) REFERENCES recording (id)
);
CREATE INDEX ix_track_account_id ON track (account_id);
CREATE TABLE transcript (
	recording_id UUID NOT NULL,
	track_id UUID NOT NULL,
	state VARCHAR NOT NULL,
	failure_reason VARCHAR,
	language VARCHAR NOT NULL,
	model VARCHAR,
	progress DOUBLE PRECISION NOT NULL,
	coverage DOUBLE PRECISION,
	words INTEGER,
	object_key VARCHAR,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	ready_at TIMESTAMP WITH TIME ZONE,
	erased_at TIMESTAMP WITH TIME ZONE,
	id UUID NOT NULL,
	account_id UUID NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (recording_id, track_id),
	FOREIGN KEY(recording_id) REFERENCES recording (id)
);
CREATE INDEX ix_transcript_account_id ON transcript (account_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON account TO junier_app;
ALTER TABLE account ENABLE ROW LEVEL SECURITY;
ALTER TABLE account FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON account TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON account TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON audit_event TO junier_app;
ALTER TABLE audit_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_event FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON audit_event TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON audit_event TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON certificate TO junier_app;
ALTER TABLE certificate ENABLE ROW LEVEL SECURITY;
ALTER TABLE certificate FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON certificate TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON certificate TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON erasure TO junier_app;
ALTER TABLE erasure ENABLE ROW LEVEL SECURITY;
ALTER TABLE erasure FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON erasure TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON erasure TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON job_failure TO junier_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON login TO junier_app;
ALTER TABLE login ENABLE ROW LEVEL SECURITY;
ALTER TABLE login FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON login TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON login TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON member TO junier_app;
ALTER TABLE member ENABLE ROW LEVEL SECURITY;
ALTER TABLE member FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON member TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON member TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON node TO junier_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON outgoing_mail TO junier_app;
ALTER TABLE outgoing_mail ENABLE ROW LEVEL SECURITY;
ALTER TABLE outgoing_mail FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON outgoing_mail TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON outgoing_mail TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON participant TO junier_app;
ALTER TABLE participant ENABLE ROW LEVEL SECURITY;
ALTER TABLE participant FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON participant TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON participant TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON sign_in_address TO junier_app;
ALTER TABLE sign_in_address ENABLE ROW LEVEL SECURITY;
ALTER TABLE sign_in_address FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON sign_in_address TO junier_app USING (account = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON sign_in_address TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON study TO junier_app;
ALTER TABLE study ENABLE ROW LEVEL SECURITY;
ALTER TABLE study FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON study TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON study TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON suppression TO junier_app;
ALTER TABLE suppression ENABLE ROW LEVEL SECURITY;
ALTER TABLE suppression FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON suppression TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON suppression TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON consent_text TO junier_app;
ALTER TABLE consent_text ENABLE ROW LEVEL SECURITY;
ALTER TABLE consent_text FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON consent_text TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON consent_text TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON data_code TO junier_app;
ALTER TABLE data_code ENABLE ROW LEVEL SECURITY;
ALTER TABLE data_code FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON data_code TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON data_code TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON session TO junier_app;
ALTER TABLE session ENABLE ROW LEVEL SECURITY;
ALTER TABLE session FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON session TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON session TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON sign_in_link TO junier_app;
ALTER TABLE sign_in_link ENABLE ROW LEVEL SECURITY;
ALTER TABLE sign_in_link FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON sign_in_link TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON sign_in_link TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON consent TO junier_app;
ALTER TABLE consent ENABLE ROW LEVEL SECURITY;
ALTER TABLE consent FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON consent TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON consent TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON invitation TO junier_app;
ALTER TABLE invitation ENABLE ROW LEVEL SECURITY;
ALTER TABLE invitation FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON invitation TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON invitation TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON note TO junier_app;
ALTER TABLE note ENABLE ROW LEVEL SECURITY;
ALTER TABLE note FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON note TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON note TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON presence TO junier_app;
ALTER TABLE presence ENABLE ROW LEVEL SECURITY;
ALTER TABLE presence FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON presence TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON presence TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON recording TO junier_app;
ALTER TABLE recording ENABLE ROW LEVEL SECURITY;
ALTER TABLE recording FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON recording TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON recording TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON take TO junier_app;
ALTER TABLE take ENABLE ROW LEVEL SECURITY;
ALTER TABLE take FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON take TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON take TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON track TO junier_app;
ALTER TABLE track ENABLE ROW LEVEL SECURITY;
ALTER TABLE track FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON track TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON track TO junier_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON transcript TO junier_app;
ALTER TABLE transcript ENABLE ROW LEVEL SECURITY;
ALTER TABLE transcript FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON transcript TO junier_app USING (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid) WITH CHECK (account_id = NULLIF(current_setting('junier.account_id', true), '')::uuid);
CREATE POLICY migrations ON transcript TO junier_owner USING (true) WITH CHECK (true);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_event FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON audit_event FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
GRANT SELECT ON alembic_version TO junier_app;  -- every role may ask which revision this is

CREATE SCHEMA jobs;
SET LOCAL search_path = jobs, pg_catalog;
-- Procrastinate Schema

DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS plpgsql WITH SCHEMA pg_catalog;
EXCEPTION
    WHEN OTHERS THEN
        -- On managed PostgreSQL services (e.g. Azure Database for PostgreSQL, Amazon RDS,
        -- Google Cloud SQL), CREATE EXTENSION may fail with various error codes:
        -- insufficient_privilege, feature_not_supported, or provider-specific errors.
        -- Before ignoring, verify the extension actually exists — if it does not exist
        -- and cannot be created, re-raise so the failure is explicit.
        IF EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'plpgsql') THEN
            RAISE NOTICE 'plpgsql extension already exists, skipping creation.';
        ELSE
            RAISE;
        END IF;
END;
$$;

-- Enums

CREATE TYPE procrastinate_job_status AS ENUM (
    'todo',  -- The job is queued
    'doing',  -- The job has been fetched by a worker
    'succeeded',  -- The job ended successfully
    'failed',  -- The job ended with an error
    'cancelled', -- The job was cancelled
    'aborting',  -- legacy, not used anymore since v3.0.0
    'aborted'  -- The job was aborted
);

CREATE TYPE procrastinate_job_event_type AS ENUM (
    'deferred',  -- Job created, in todo
    'started',  -- todo -> doing
    'deferred_for_retry',  -- doing -> todo
    'failed',  -- doing -> failed
    'succeeded',  -- doing -> succeeded
    'cancelled', -- todo -> cancelled
    'abort_requested', -- not a state transition, but set in a separate field
    'aborted', -- doing -> aborted (only allowed when abort_requested field is set)
    'scheduled', -- not a state transition, but recording when a task is scheduled for
    'retried' -- Manually retried failed job
);

-- Composite Types

CREATE TYPE procrastinate_job_to_defer_v1 AS (
    queue_name character varying,
    task_name character varying,
    priority integer,
    lock text,
    queueing_lock text,
    args jsonb,
    scheduled_at timestamp with time zone
);

-- Tables

CREATE TABLE procrastinate_workers(
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    last_heartbeat timestamp with time zone NOT NULL DEFAULT NOW()
);

CREATE TABLE procrastinate_jobs (
    id bigserial PRIMARY KEY,
    queue_name character varying(128) NOT NULL,
    task_name character varying(128) NOT NULL,
    priority integer DEFAULT 0 NOT NULL,
    lock text,
    queueing_lock text,
    args jsonb DEFAULT '{}' NOT NULL,
    status procrastinate_job_status DEFAULT 'todo'::procrastinate_job_status NOT NULL,
    scheduled_at timestamp with time zone NULL,
    attempts integer DEFAULT 0 NOT NULL,
    abort_requested boolean DEFAULT false NOT NULL,
    worker_id bigint REFERENCES procrastinate_workers(id) ON DELETE SET NULL,
    CONSTRAINT check_not_todo_abort_requested CHECK (NOT (status = 'todo' AND abort_requested = true))
);

CREATE TABLE procrastinate_periodic_defers (
    id bigserial PRIMARY KEY,
    task_name character varying(128) NOT NULL,
    defer_timestamp bigint,
    job_id bigint REFERENCES procrastinate_jobs(id) NULL,
    periodic_id character varying(128) NOT NULL DEFAULT '',
    CONSTRAINT procrastinate_periodic_defers_unique UNIQUE (task_name, periodic_id, defer_timestamp)
);

CREATE TABLE procrastinate_events (
    id bigserial PRIMARY KEY,
    job_id bigint NOT NULL REFERENCES procrastinate_jobs ON DELETE CASCADE,
    type procrastinate_job_event_type,
    at timestamp with time zone DEFAULT NOW() NULL
);

-- Constraints & Indices

-- this prevents from having several jobs with the same queueing lock in the "todo" state
CREATE UNIQUE INDEX procrastinate_jobs_queueing_lock_idx_v1 ON procrastinate_jobs (queueing_lock) WHERE status = 'todo';
-- this prevents from having several jobs with the same lock in the "doing" state
CREATE UNIQUE INDEX procrastinate_jobs_lock_idx_v1 ON procrastinate_jobs (lock) WHERE status = 'doing';

-- Index for select_stalled_jobs_by_heartbeat query
CREATE INDEX idx_procrastinate_jobs_worker_not_null ON procrastinate_jobs(worker_id) WHERE worker_id IS NOT NULL AND status = 'doing'::procrastinate_job_status;

CREATE INDEX procrastinate_jobs_queue_name_idx_v1 ON procrastinate_jobs(queue_name);
CREATE INDEX procrastinate_jobs_id_lock_idx_v1 ON procrastinate_jobs (id, lock) WHERE status = ANY (ARRAY['todo'::procrastinate_job_status, 'doing'::procrastinate_job_status]);
CREATE INDEX procrastinate_jobs_priority_idx_v1 ON procrastinate_jobs(priority desc, id asc) WHERE (status = 'todo'::procrastinate_job_status);

CREATE INDEX procrastinate_events_job_id_fkey_v1 ON procrastinate_events(job_id);

CREATE INDEX procrastinate_periodic_defers_job_id_fkey_v1 ON procrastinate_periodic_defers(job_id);

CREATE INDEX idx_procrastinate_workers_last_heartbeat ON procrastinate_workers(last_heartbeat);

-- Functions
CREATE FUNCTION procrastinate_defer_jobs_v1(
    jobs procrastinate_job_to_defer_v1[]
)
    RETURNS bigint[]
    LANGUAGE plpgsql
AS $$
DECLARE
    job_ids bigint[];
BEGIN
    WITH inserted_jobs AS (
        INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at)
        SELECT (job).queue_name,
               (job).task_name,
               (job).priority,
               (job).lock,
               (job).queueing_lock,
               (job).args,
               (job).scheduled_at
        FROM unnest(jobs) AS job
        RETURNING id
    )
    SELECT array_agg(id) FROM inserted_jobs INTO job_ids;

    RETURN job_ids;
END;
$$;

CREATE FUNCTION procrastinate_defer_periodic_job_v2(
    _queue_name character varying,
    _lock character varying,
    _queueing_lock character varying,
    _task_name character varying,
    _priority integer,
    _periodic_id character varying,
    _defer_timestamp bigint,
    _args jsonb
)
    RETURNS bigint
    LANGUAGE plpgsql
AS $$
DECLARE
	_job_id bigint;
	_defer_id bigint;
BEGIN
    INSERT
        INTO procrastinate_periodic_defers (task_name, periodic_id, defer_timestamp)
        VALUES (_task_name, _periodic_id, _defer_timestamp)
        ON CONFLICT DO NOTHING
        RETURNING id into _defer_id;

    IF _defer_id IS NULL THEN
        RETURN NULL;
    END IF;

    UPDATE procrastinate_periodic_defers
        SET job_id = (
            SELECT COALESCE((
                SELECT unnest(procrastinate_defer_jobs_v1(
                    ARRAY[
                        ROW(
                            _queue_name,
                            _task_name,
                            _priority,
                            _lock,
                            _queueing_lock,
                            _args,
                            NULL::timestamptz
                        )
                    ]::procrastinate_job_to_defer_v1[]
                ))
            ), NULL)
        )
        WHERE id = _defer_id
        RETURNING job_id INTO _job_id;

    DELETE
        FROM procrastinate_periodic_defers
        USING (
            SELECT id
            FROM procrastinate_periodic_defers
            WHERE procrastinate_periodic_defers.task_name = _task_name
            AND procrastinate_periodic_defers.periodic_id = _periodic_id
            AND procrastinate_periodic_defers.defer_timestamp < _defer_timestamp
            ORDER BY id
            FOR UPDATE
        ) to_delete
        WHERE procrastinate_periodic_defers.id = to_delete.id;

    RETURN _job_id;
END;
$$;

CREATE FUNCTION procrastinate_fetch_job_v2(
    target_queue_names character varying[],
    p_worker_id bigint
)
    RETURNS procrastinate_jobs
    LANGUAGE plpgsql
AS $$
DECLARE
	found_jobs procrastinate_jobs;
BEGIN
    WITH candidate AS (
        SELECT jobs.*
            FROM procrastinate_jobs AS jobs
            WHERE
                -- reject the job if its lock has earlier or higher priority jobs
                NOT EXISTS (
                    SELECT 1
                        FROM procrastinate_jobs AS other_jobs
                        WHERE
                            jobs.lock IS NOT NULL
                            AND other_jobs.lock = jobs.lock
                            AND (
                                -- job with same lock is already running
                                other_jobs.status = 'doing'
                                OR
                                -- job with same lock is waiting and has higher priority (or same priority but was queued first)
                                (
                                    other_jobs.status = 'todo'
                                    AND (
                                        other_jobs.priority > jobs.priority
                                        OR (
                                        other_jobs.priority = jobs.priority
                                        AND other_jobs.id < jobs.id
                                        )
                                    )
                                )
                            )
                )
                AND jobs.status = 'todo'
                AND (target_queue_names IS NULL OR jobs.queue_name = ANY( target_queue_names ))
                AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
            ORDER BY jobs.priority DESC, jobs.id ASC LIMIT 1
            FOR UPDATE OF jobs SKIP LOCKED
    )
    UPDATE procrastinate_jobs
        SET status = 'doing', worker_id = p_worker_id
        FROM candidate
        WHERE procrastinate_jobs.id = candidate.id
        RETURNING procrastinate_jobs.* INTO found_jobs;

 RETURN found_jobs;
END;
$$;

CREATE FUNCTION procrastinate_finish_job_v1(job_id bigint, end_status procrastinate_job_status, delete_job boolean)
    RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    _job_id bigint;
BEGIN
    IF end_status NOT IN ('succeeded', 'failed', 'aborted') THEN
        RAISE 'End status should be either "succeeded", "failed" or "aborted" (job id: %)', job_id;
    END IF;
    IF delete_job THEN
        DELETE FROM procrastinate_jobs
        WHERE id = job_id AND status IN ('todo', 'doing')
        RETURNING id INTO _job_id;
    ELSE
        UPDATE procrastinate_jobs
        SET status = end_status,
            abort_requested = false,
            attempts = CASE status
                WHEN 'doing' THEN attempts + 1 ELSE attempts
            END
        WHERE id = job_id AND status IN ('todo', 'doing')
        RETURNING id INTO _job_id;
    END IF;
    IF _job_id IS NULL THEN
        RAISE 'Job was not found or not in "doing" or "todo" status (job id: %)', job_id;
    END IF;
END;
$$;

CREATE FUNCTION procrastinate_cancel_job_v1(job_id bigint, abort boolean, delete_job boolean)
    RETURNS bigint
    LANGUAGE plpgsql
AS $$
DECLARE
    _job_id bigint;
BEGIN
    IF delete_job THEN
        DELETE FROM procrastinate_jobs
        WHERE id = job_id AND status = 'todo'
        RETURNING id INTO _job_id;
    END IF;
    IF _job_id IS NULL THEN
        IF abort THEN
            UPDATE procrastinate_jobs
            SET abort_requested = true,
                status = CASE status
                    WHEN 'todo' THEN 'cancelled'::procrastinate_job_status ELSE status
                END
            WHERE id = job_id AND status IN ('todo', 'doing')
            RETURNING id INTO _job_id;
        ELSE
            UPDATE procrastinate_jobs
            SET status = 'cancelled'::procrastinate_job_status
            WHERE id = job_id AND status = 'todo'
            RETURNING id INTO _job_id;
        END IF;
    END IF;
    RETURN _job_id;
END;
$$;

CREATE FUNCTION procrastinate_retry_job_v1(
    job_id bigint,
    retry_at timestamp with time zone,
    new_priority integer,
    new_queue_name character varying,
    new_lock character varying
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    _job_id bigint;
    _abort_requested boolean;
BEGIN
    SELECT abort_requested FROM procrastinate_jobs
    WHERE id = job_id AND status = 'doing'
    FOR UPDATE
    INTO _abort_requested;
    IF _abort_requested THEN
        UPDATE procrastinate_jobs
        SET status = 'failed'::procrastinate_job_status
        WHERE id = job_id AND status = 'doing'
        RETURNING id INTO _job_id;
    ELSE
        UPDATE procrastinate_jobs
        SET status = 'todo'::procrastinate_job_status,
            attempts = attempts + 1,
            scheduled_at = retry_at,
            priority = COALESCE(new_priority, priority),
            queue_name = COALESCE(new_queue_name, queue_name),
            lock = COALESCE(new_lock, lock)
        WHERE id = job_id AND status = 'doing'
        RETURNING id INTO _job_id;
    END IF;

    IF _job_id IS NULL THEN
        RAISE 'Job was not found or not in "doing" status (job id: %)', job_id;
    END IF;
END;
$$;

CREATE FUNCTION procrastinate_retry_job_v2(
    job_id bigint,
    retry_at timestamp with time zone,
    new_priority integer,
    new_queue_name character varying,
    new_lock character varying
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    _job_id bigint;
    _abort_requested boolean;
    _current_status procrastinate_job_status;
BEGIN
    SELECT status, abort_requested FROM procrastinate_jobs
    WHERE id = job_id AND status IN ('doing', 'failed')
    FOR UPDATE
    INTO _current_status, _abort_requested;
    IF _current_status = 'doing' AND _abort_requested THEN
        UPDATE procrastinate_jobs
        SET status = 'failed'::procrastinate_job_status
        WHERE id = job_id AND status = 'doing'
        RETURNING id INTO _job_id;
    ELSE
        UPDATE procrastinate_jobs
        SET status = 'todo'::procrastinate_job_status,
            attempts = attempts + 1,
            scheduled_at = retry_at,
            priority = COALESCE(new_priority, priority),
            queue_name = COALESCE(new_queue_name, queue_name),
            lock = COALESCE(new_lock, lock)
        WHERE id = job_id AND status IN ('doing', 'failed')
        RETURNING id INTO _job_id;
    END IF;

    IF _job_id IS NULL THEN
        RAISE 'Job was not found or has an invalid status to retry (job id: %)', job_id;
    END IF;

END;
$$;

CREATE FUNCTION procrastinate_notify_queue_job_inserted_v1()
    RETURNS trigger
    LANGUAGE plpgsql
AS $$
DECLARE
    payload TEXT;
BEGIN
    SELECT json_build_object('type', 'job_inserted', 'job_id', NEW.id)::text INTO payload;
	PERFORM pg_notify('procrastinate_queue_v1#' || NEW.queue_name, payload);
	PERFORM pg_notify('procrastinate_any_queue_v1', payload);
	RETURN NEW;
END;
$$;

CREATE FUNCTION procrastinate_notify_queue_abort_job_v1()
RETURNS trigger
    LANGUAGE plpgsql
AS $$
DECLARE
    payload TEXT;
BEGIN
    SELECT json_build_object('type', 'abort_job_requested', 'job_id', NEW.id)::text INTO payload;
	PERFORM pg_notify('procrastinate_queue_v1#' || NEW.queue_name, payload);
	PERFORM pg_notify('procrastinate_any_queue_v1', payload);
	RETURN NEW;
END;
$$;

CREATE FUNCTION procrastinate_trigger_function_status_events_insert_v1()
    RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO procrastinate_events(job_id, type)
        VALUES (NEW.id, 'deferred'::procrastinate_job_event_type);
	RETURN NEW;
END;
$$;

CREATE FUNCTION procrastinate_trigger_function_status_events_update_v1()
    RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    WITH t AS (
        SELECT CASE
            WHEN OLD.status = 'todo'::procrastinate_job_status
                AND NEW.status = 'doing'::procrastinate_job_status
                THEN 'started'::procrastinate_job_event_type
            WHEN OLD.status = 'doing'::procrastinate_job_status
                AND NEW.status = 'todo'::procrastinate_job_status
                THEN 'deferred_for_retry'::procrastinate_job_event_type
            WHEN OLD.status = 'doing'::procrastinate_job_status
                AND NEW.status = 'failed'::procrastinate_job_status
                THEN 'failed'::procrastinate_job_event_type
            WHEN OLD.status = 'doing'::procrastinate_job_status
                AND NEW.status = 'succeeded'::procrastinate_job_status
                THEN 'succeeded'::procrastinate_job_event_type
            WHEN OLD.status = 'todo'::procrastinate_job_status
                AND (
                    NEW.status = 'cancelled'::procrastinate_job_status
                    OR NEW.status = 'failed'::procrastinate_job_status
                    OR NEW.status = 'succeeded'::procrastinate_job_status
                )
                THEN 'cancelled'::procrastinate_job_event_type
            WHEN OLD.status = 'doing'::procrastinate_job_status
                AND NEW.status = 'aborted'::procrastinate_job_status
                THEN 'aborted'::procrastinate_job_event_type
            WHEN OLD.status = 'failed'::procrastinate_job_status
                AND NEW.status = 'todo'::procrastinate_job_status
                THEN 'retried'::procrastinate_job_event_type
            ELSE NULL
        END as event_type
    )
    INSERT INTO procrastinate_events(job_id, type)
        SELECT NEW.id, t.event_type
        FROM t
        WHERE t.event_type IS NOT NULL;
	RETURN NEW;
END;
$$;

CREATE FUNCTION procrastinate_trigger_function_scheduled_events_v1()
    RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO procrastinate_events(job_id, type, at)
        VALUES (NEW.id, 'scheduled'::procrastinate_job_event_type, NEW.scheduled_at);

	RETURN NEW;
END;
$$;

CREATE FUNCTION procrastinate_trigger_abort_requested_events_procedure_v1()
    RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO procrastinate_events(job_id, type)
        VALUES (NEW.id, 'abort_requested'::procrastinate_job_event_type);
    RETURN NEW;
END;
$$;

CREATE FUNCTION procrastinate_unlink_periodic_defers_v1()
    RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE procrastinate_periodic_defers
    SET job_id = NULL
    WHERE job_id = OLD.id;
    RETURN OLD;
END;
$$;

CREATE FUNCTION procrastinate_register_worker_v1()
    RETURNS TABLE(worker_id bigint)
    LANGUAGE plpgsql
AS $$
BEGIN
    RETURN QUERY
    INSERT INTO procrastinate_workers DEFAULT VALUES
    RETURNING procrastinate_workers.id;
END;
$$;

CREATE FUNCTION procrastinate_unregister_worker_v1(worker_id bigint)
    RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    DELETE FROM procrastinate_workers
    WHERE id = worker_id;
END;
$$;

CREATE FUNCTION procrastinate_update_heartbeat_v1(worker_id bigint)
    RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE procrastinate_workers
    SET last_heartbeat = NOW()
    WHERE id = worker_id;
END;
$$;

CREATE FUNCTION procrastinate_prune_stalled_workers_v1(seconds_since_heartbeat float)
    RETURNS TABLE(worker_id bigint)
    LANGUAGE plpgsql
AS $$
BEGIN
    RETURN QUERY
    DELETE FROM procrastinate_workers
    WHERE last_heartbeat < NOW() - (seconds_since_heartbeat || 'SECOND')::INTERVAL
    RETURNING procrastinate_workers.id;
END;
$$;

-- Triggers

CREATE TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1
    AFTER INSERT ON procrastinate_jobs
    FOR EACH ROW WHEN ((new.status = 'todo'::procrastinate_job_status))
    EXECUTE PROCEDURE procrastinate_notify_queue_job_inserted_v1();

CREATE TRIGGER procrastinate_jobs_notify_queue_job_aborted_v1
    AFTER UPDATE OF abort_requested ON procrastinate_jobs
    FOR EACH ROW WHEN ((old.abort_requested = false AND new.abort_requested = true AND new.status = 'doing'::procrastinate_job_status))
    EXECUTE PROCEDURE procrastinate_notify_queue_abort_job_v1();

CREATE TRIGGER procrastinate_trigger_status_events_update_v1
    AFTER UPDATE OF status ON procrastinate_jobs
    FOR EACH ROW
    EXECUTE PROCEDURE procrastinate_trigger_function_status_events_update_v1();

CREATE TRIGGER procrastinate_trigger_status_events_insert_v1
    AFTER INSERT ON procrastinate_jobs
    FOR EACH ROW WHEN ((new.status = 'todo'::procrastinate_job_status))
    EXECUTE PROCEDURE procrastinate_trigger_function_status_events_insert_v1();

CREATE TRIGGER procrastinate_trigger_scheduled_events_v1
    AFTER UPDATE OR INSERT ON procrastinate_jobs
    FOR EACH ROW WHEN ((new.scheduled_at IS NOT NULL AND new.status = 'todo'::procrastinate_job_status))
    EXECUTE PROCEDURE procrastinate_trigger_function_scheduled_events_v1();

CREATE TRIGGER procrastinate_trigger_abort_requested_events_v1
    AFTER UPDATE OF abort_requested ON procrastinate_jobs
    FOR EACH ROW WHEN ((new.abort_requested = true))
    EXECUTE PROCEDURE procrastinate_trigger_abort_requested_events_procedure_v1();

CREATE TRIGGER procrastinate_trigger_delete_jobs_v1
    BEFORE DELETE ON procrastinate_jobs
    FOR EACH ROW EXECUTE PROCEDURE procrastinate_unlink_periodic_defers_v1();

SET LOCAL search_path = public, pg_catalog;

GRANT USAGE ON SCHEMA jobs TO junier_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA jobs TO junier_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA jobs TO junier_app;

-- Doors: what must be found before the account is known. Each takes a hash, a name or a moment and returns the
-- account and an id, nothing else; whether the thing found is still valid is decided by the caller, inside the
-- account. Owned by junier_doors, who may read exactly the columns granted here.
GRANT SELECT (id, account_id, token_hash) ON login TO junier_doors;
GRANT SELECT (id, account_id, token_hash) ON sign_in_link TO junier_doors;
GRANT SELECT (address_hash, account, member) ON sign_in_address TO junier_doors;
GRANT SELECT (id, account_id, token_hash, unsubscribe_hash) ON invitation TO junier_doors;
GRANT SELECT (account_id) ON account TO junier_doors;
GRANT SELECT (id, account_id, retention_days) ON study TO junier_doors;
GRANT SELECT (id, account_id, study_id, state, node) ON session TO junier_doors;
GRANT SELECT (id, account_id, session_id, state, created_at, held_reason, held_until) ON recording TO junier_doors;
GRANT SELECT (id, account_id, session_id, at) ON note TO junier_doors;
GRANT SELECT (id, account_id, node, ended_at) ON take TO junier_doors;
GRANT SELECT (id, account_id, state, created_at) ON outgoing_mail TO junier_doors;
GRANT SELECT (id, account_id, state, asked_at) ON erasure TO junier_doors;

CREATE FUNCTION find_login(token_hash bytea) RETURNS TABLE (account_id uuid, login_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT found.account_id, found.id FROM public.login AS found
    WHERE found.token_hash = find_login.token_hash
$door$;

CREATE FUNCTION find_sign_in_link(token_hash bytea) RETURNS TABLE (account_id uuid, sign_in_link_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT found.account_id, found.id FROM public.sign_in_link AS found
    WHERE found.token_hash = find_sign_in_link.token_hash
$door$;

-- One row for each account the address is a member of.
CREATE FUNCTION find_member_by_address(address_hash bytea) RETURNS TABLE (account_id uuid, member_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT found.account, found.member FROM public.sign_in_address AS found
    WHERE found.address_hash = find_member_by_address.address_hash
    ORDER BY found.account
$door$;

CREATE FUNCTION find_invitation(token_hash bytea) RETURNS TABLE (account_id uuid, invitation_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT found.account_id, found.id FROM public.invitation AS found
    WHERE found.token_hash = find_invitation.token_hash
$door$;

CREATE FUNCTION find_unsubscribe(token_hash bytea) RETURNS TABLE (account_id uuid, invitation_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT found.account_id, found.id FROM public.invitation AS found
    WHERE found.unsubscribe_hash = find_unsubscribe.token_hash
$door$;

-- Recordings that may be due for erasure: a superset of what app.sessions.policy.due says, oldest first.
CREATE FUNCTION due_recordings(now_ timestamptz, limit_ integer) RETURNS TABLE (account_id uuid, recording_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT due.account_id, due.id FROM public.recording AS due
    JOIN public.session AS held_in ON held_in.id = due.session_id
    JOIN public.study AS owning ON owning.id = held_in.study_id
    WHERE due.state <> 'erased'
      AND owning.retention_days IS NOT NULL
      AND due.created_at + make_interval(days => owning.retention_days) <= now_
      AND (due.held_reason IS NULL OR due.held_until <= now_)
    ORDER BY due.created_at
    LIMIT limit_
$door$;

-- Notes that may be due with their session: a superset of what app.sessions.policy.note_until says, oldest first.
CREATE FUNCTION due_notes(now_ timestamptz, limit_ integer) RETURNS TABLE (account_id uuid, note_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT due.account_id, due.id FROM public.note AS due
    JOIN public.session AS held_in ON held_in.id = due.session_id
    JOIN public.study AS owning ON owning.id = held_in.study_id
    WHERE owning.retention_days IS NOT NULL
      AND due.at + make_interval(days => owning.retention_days) <= now_
      AND NOT EXISTS (
          SELECT FROM public.recording AS held
          WHERE held.session_id = due.session_id AND held.state <> 'erased'
            AND held.held_reason IS NOT NULL AND (held.held_until IS NULL OR held.held_until > now_)
      )
    ORDER BY due.at
    LIMIT limit_
$door$;

-- Sessions whose room is open; node_ NULL: on any media process.
CREATE FUNCTION live_sessions(node_ text DEFAULT NULL) RETURNS TABLE (account_id uuid, session_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT live.account_id, live.id FROM public.session AS live
    WHERE live.state = 'live' AND (node_ IS NULL OR live.node = node_)
$door$;

-- Takes a media process has not ended: after a crash it closes its own as interrupted.
CREATE FUNCTION open_takes(node_ text) RETURNS TABLE (account_id uuid, take_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT open.account_id, open.id FROM public.take AS open
    WHERE open.ended_at IS NULL AND open.node = node_
$door$;

CREATE FUNCTION waiting_mails(limit_ integer) RETURNS TABLE (account_id uuid, mail_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT waiting.account_id, waiting.id FROM public.outgoing_mail AS waiting
    WHERE waiting.state = 'waiting'
    ORDER BY waiting.created_at
    LIMIT limit_
$door$;

-- The development outbox lists mails of every account, newest first; it names ids only, as all doors do.
CREATE FUNCTION newest_mails(limit_ integer) RETURNS TABLE (account_id uuid, mail_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT newest.account_id, newest.id FROM public.outgoing_mail AS newest
    ORDER BY newest.created_at DESC, newest.id
    LIMIT limit_
$door$;

-- Recordings whose takes have ended and whose index is still to be made.
CREATE FUNCTION captured_recordings(limit_ integer) RETURNS TABLE (account_id uuid, recording_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT captured.account_id, captured.id FROM public.recording AS captured
    WHERE captured.state = 'captured'
    ORDER BY captured.created_at
    LIMIT limit_
$door$;

-- Erasures not yet verified complete; a partial one is tried again, a held one when its hold ends.
CREATE FUNCTION unfinished_erasures(limit_ integer) RETURNS TABLE (account_id uuid, erasure_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT unfinished.account_id, unfinished.id FROM public.erasure AS unfinished
    WHERE unfinished.state IN ('asked', 'running', 'partial', 'held')
    ORDER BY unfinished.asked_at
    LIMIT limit_
$door$;

-- Whether this installation has been set up.
CREATE FUNCTION any_account() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT EXISTS (SELECT account_id FROM public.account)
$door$;

CREATE POLICY doors ON login FOR SELECT TO junier_doors USING (true);
CREATE POLICY doors ON sign_in_link FOR SELECT TO junier_doors USING (true);
CREATE POLICY doors ON sign_in_address FOR SELECT TO junier_doors USING (true);
CREATE POLICY doors ON invitation FOR SELECT TO junier_doors USING (true);
CREATE POLICY doors ON account FOR SELECT TO junier_doors USING (true);
CREATE POLICY doors ON study FOR SELECT TO junier_doors USING (true);
CREATE POLICY doors ON session FOR SELECT TO junier_doors USING (true);
CREATE POLICY doors ON recording FOR SELECT TO junier_doors USING (true);
CREATE POLICY doors ON note FOR SELECT TO junier_doors USING (true);
CREATE POLICY doors ON take FOR SELECT TO junier_doors USING (true);
CREATE POLICY doors ON outgoing_mail FOR SELECT TO junier_doors USING (true);
CREATE POLICY doors ON erasure FOR SELECT TO junier_doors USING (true);
GRANT CREATE ON SCHEMA public TO junier_doors;
ALTER FUNCTION find_login OWNER TO junier_doors;
REVOKE EXECUTE ON FUNCTION find_login FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_login TO junier_app;
ALTER FUNCTION find_sign_in_link OWNER TO junier_doors;
REVOKE EXECUTE ON FUNCTION find_sign_in_link FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_sign_in_link TO junier_app;
ALTER FUNCTION find_member_by_address OWNER TO junier_doors;
REVOKE EXECUTE ON FUNCTION find_member_by_address FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_member_by_address TO junier_app;
ALTER FUNCTION find_invitation OWNER TO junier_doors;
REVOKE EXECUTE ON FUNCTION find_invitation FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_invitation TO junier_app;
ALTER FUNCTION find_unsubscribe OWNER TO junier_doors;
REVOKE EXECUTE ON FUNCTION find_unsubscribe FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_unsubscribe TO junier_app;
ALTER FUNCTION due_recordings OWNER TO junier_doors;
REVOKE EXECUTE ON FUNCTION due_recordings FROM PUBLIC;
GRANT EXECUTE ON FUNCTION due_recordings TO junier_app;
ALTER FUNCTION due_notes OWNER TO junier_doors;
REVOKE EXECUTE ON FUNCTION due_notes FROM PUBLIC;
GRANT EXECUTE ON FUNCTION due_notes TO junier_app;
ALTER FUNCTION live_sessions OWNER TO junier_doors;
REVOKE EXECUTE ON FUNCTION live_sessions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION live_sessions TO junier_app;
ALTER FUNCTION open_takes OWNER TO junier_doors;
REVOKE EXECUTE ON FUNCTION open_takes FROM PUBLIC;
GRANT EXECUTE ON FUNCTION open_takes TO junier_app;
ALTER FUNCTION waiting_mails OWNER TO junier_doors;
REVOKE EXECUTE ON FUNCTION waiting_mails FROM PUBLIC;
GRANT EXECUTE ON FUNCTION waiting_mails TO junier_app;
ALTER FUNCTION newest_mails OWNER TO junier_doors;
REVOKE EXECUTE ON FUNCTION newest_mails FROM PUBLIC;
GRANT EXECUTE ON FUNCTION newest_mails TO junier_app;
ALTER FUNCTION captured_recordings OWNER TO junier_doors;
REVOKE EXECUTE ON FUNCTION captured_recordings FROM PUBLIC;
GRANT EXECUTE ON FUNCTION captured_recordings TO junier_app;
ALTER FUNCTION unfinished_erasures OWNER TO junier_doors;
REVOKE EXECUTE ON FUNCTION unfinished_erasures FROM PUBLIC;
GRANT EXECUTE ON FUNCTION unfinished_erasures TO junier_app;
ALTER FUNCTION any_account OWNER TO junier_doors;
REVOKE EXECUTE ON FUNCTION any_account FROM PUBLIC;
GRANT EXECUTE ON FUNCTION any_account TO junier_app;
REVOKE CREATE ON SCHEMA public FROM junier_doors;
GRANT USAGE ON SCHEMA public TO junier_doors, junier_app;
