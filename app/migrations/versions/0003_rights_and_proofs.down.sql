-- The reverse, last first.
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
