-- When the person answered, besides when the calendar says that its answer was made; the words that came with it, until
-- the mails of that time are forgotten; and what the programme's contact was last told of it, by which mail.
ALTER TABLE answers ADD COLUMN replied TEXT;
ALTER TABLE answers ADD COLUMN words TEXT;
ALTER TABLE answers ADD COLUMN told TEXT CHECK (told IN ('accepted', 'tentative', 'declined'));
ALTER TABLE answers ADD COLUMN told_by INTEGER;
