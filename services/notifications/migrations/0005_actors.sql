-- Whoever of the staff had a mail tried again, or an address suppressed: their account, as facts name it.
ALTER TABLE mails ADD COLUMN actor TEXT;
ALTER TABLE suppressed ADD COLUMN actor TEXT;
