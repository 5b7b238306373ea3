-- What strangers were answered under an id is known for a while and not for ever: they can make up ids without end.
ALTER TABLE requests ADD COLUMN until TEXT;

CREATE INDEX requests_by_time ON requests (until) WHERE until IS NOT NULL;
