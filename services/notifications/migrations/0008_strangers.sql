-- Whether anybody may have caused the mail: such mails have a queue of their own, in which others' do not wait.
ALTER TABLE mails ADD COLUMN by_stranger INTEGER NOT NULL DEFAULT 0;
DROP INDEX mails_due;
CREATE INDEX mails_due ON mails (by_stranger, due_at, ordinal) WHERE status = 'planned';
