CREATE UNLOGGED TABLE rate (
    key BYTEA NOT NULL,
    leaked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (key)
);
CREATE TABLE task_done (
    task VARCHAR NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (task)
);
CREATE TABLE data_request (
    participant_id UUID NOT NULL,
    kind VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    receipt VARCHAR NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    due_on DATE NOT NULL,
    words BYTEA,
    erasure_id UUID,
    answer BYTEA,
    answered_by UUID,
    answered_at TIMESTAMP WITH TIME ZONE,
    mail_id UUID,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(participant_id) REFERENCES participant (id)
);
CREATE INDEX ix_data_request_account_id ON data_request (account_id);
CREATE INDEX ix_data_request_participant_id ON data_request (participant_id);
CREATE TABLE question (
    study_id UUID NOT NULL,
    origin_id UUID NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    prompt VARCHAR NOT NULL,
    required BOOLEAN NOT NULL,
    options TEXT[] NOT NULL,
    several BOOLEAN NOT NULL,
    lowest INTEGER,
    highest INTEGER,
    lowest_label VARCHAR NOT NULL,
    highest_label VARCHAR NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    answered_at TIMESTAMP WITH TIME ZONE,
    archived_at TIMESTAMP WITH TIME ZONE,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(study_id) REFERENCES study (id) ON DELETE CASCADE,
    UNIQUE (origin_id, version)
);
CREATE INDEX ix_question_account_id ON question (account_id);
CREATE INDEX ix_question_study_id ON question (study_id);
CREATE TABLE member_switch (
    session_id UUID NOT NULL,
    member_id UUID NOT NULL,
    recorded BOOLEAN NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (session_id, member_id),
    FOREIGN KEY(session_id) REFERENCES session (id) ON DELETE CASCADE
);
CREATE INDEX ix_member_switch_account_id ON member_switch (account_id);
CREATE TABLE response (
    session_id UUID NOT NULL,
    participant_id UUID NOT NULL,
    answered_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE,
    restricted_at TIMESTAMP WITH TIME ZONE,
    hidden_at TIMESTAMP WITH TIME ZONE,
    erased_at TIMESTAMP WITH TIME ZONE,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(participant_id) REFERENCES participant (id),
    UNIQUE (session_id, participant_id),
    FOREIGN KEY(session_id) REFERENCES session (id)
);
CREATE INDEX ix_response_account_id ON response (account_id);
CREATE INDEX ix_response_participant_id ON response (participant_id);
CREATE TABLE answer (
    response_id UUID NOT NULL,
    question_id UUID NOT NULL,
    value BYTEA NOT NULL,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(question_id) REFERENCES question (id),
    FOREIGN KEY(response_id) REFERENCES response (id) ON DELETE CASCADE,
    UNIQUE (response_id, question_id)
);
CREATE INDEX ix_answer_account_id ON answer (account_id);
ALTER TABLE account ADD COLUMN retention_days INTEGER;
ALTER TABLE account ADD COLUMN longest_retention_days INTEGER;
CREATE INDEX audit_event_subject ON audit_event (account_id, subject);
CREATE INDEX ix_certificate_erasure_id ON certificate (erasure_id);
CREATE INDEX ix_consent_participant_id ON consent (participant_id);
CREATE INDEX ix_consent_session_id ON consent (session_id);
CREATE INDEX ix_data_code_participant_id ON data_code (participant_id);
ALTER TABLE erasure ADD COLUMN response_ids UUID[];
CREATE INDEX ix_erasure_person_id ON erasure (person_id);
CREATE INDEX ix_invitation_participant_id ON invitation (participant_id);
CREATE INDEX ix_login_member_id ON login (member_id);
CREATE INDEX ix_login_participant_id ON login (participant_id);
ALTER TABLE member ADD COLUMN records_self BOOLEAN DEFAULT false NOT NULL;
CREATE INDEX ix_outgoing_mail_person_id ON outgoing_mail (person_id);
ALTER TABLE participant ADD COLUMN language VARCHAR;
ALTER TABLE recording ADD COLUMN held_words BYTEA;
ALTER TABLE recording ADD COLUMN held_by UUID;
ALTER TABLE recording ADD COLUMN hidden_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE recording ADD COLUMN announced_for TIMESTAMP WITH TIME ZONE;
CREATE INDEX ix_recording_person_id ON recording (person_id);
CREATE INDEX recording_held ON recording (account_id) WHERE held_reason IS NOT NULL;
ALTER TABLE session ADD COLUMN retention_days INTEGER;
CREATE INDEX session_of_study ON session (study_id, created_at);
ALTER TABLE study ADD COLUMN questions_words VARCHAR DEFAULT '' NOT NULL;
CREATE INDEX ix_take_resource ON take (resource);
CREATE INDEX ix_track_recording_id ON track (recording_id);
ALTER TABLE transcript ADD COLUMN began_at TIMESTAMP WITH TIME ZONE;
-- Hiding before erasure had the column of the restriction, which nobody could ask for until now.
UPDATE recording SET hidden_at = restricted_at, restricted_at = NULL WHERE restricted_at IS NOT NULL;
