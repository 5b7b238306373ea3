-- What a mail said about its calendar item, settled when its bytes were first written; and whether an attempt to send it
-- may have arrived although it is planned again.
ALTER TABLE mails ADD COLUMN said TEXT;
ALTER TABLE mails ADD COLUMN perhaps INTEGER NOT NULL DEFAULT 0;
UPDATE mails SET said = json_extract(detail, '$.appointment') WHERE uid IS NOT NULL AND message_id IS NOT NULL;

-- Who was written to lately, for the caps by the hour.
CREATE INDEX mails_tried ON mails (first_at) WHERE first_at IS NOT NULL;
