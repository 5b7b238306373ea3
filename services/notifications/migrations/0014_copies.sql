-- The mail of which somebody wanted a new copy.
ALTER TABLE mails ADD COLUMN copy_of TEXT;
