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
