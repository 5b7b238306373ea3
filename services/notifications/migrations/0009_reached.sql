-- Whether the mail server answered for this mail at the last attempt (1), or takes no mail at all (0).
ALTER TABLE mails ADD COLUMN reached INTEGER;
CREATE INDEX mails_unreached ON mails (by_stranger, first_at)
    WHERE status = 'planned' AND first_at IS NOT NULL AND reached IS NOT 1;
