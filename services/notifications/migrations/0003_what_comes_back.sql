-- What only this installation knows. The key makes envelope senders that nobody else can make, and fingerprints of
-- addresses that say nothing to who has not the key.
CREATE TABLE installation (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;
INSERT INTO installation (name, value) VALUES ('key', randomblob(32));

-- A report may name nothing but the Message-ID of what it returns.
CREATE INDEX mails_of_message ON mails (message_id) WHERE message_id IS NOT NULL;

-- Addresses to which nothing is sent, as fingerprints: whose they are is known by the person alone, until the person is
-- erased. Rows from before this migration have no fingerprint and speak of whatever address the person has.
ALTER TABLE suppressed RENAME TO suppressed_before;
CREATE TABLE suppressed (
    ordinal INTEGER PRIMARY KEY,
    address TEXT,
    person  TEXT,
    since   TEXT NOT NULL,
    source  TEXT NOT NULL CHECK (source IN ('smtp', 'bounce', 'staff')),
    status  TEXT,
    reason  TEXT NOT NULL,
    CHECK (address IS NOT NULL OR person IS NOT NULL)
);
CREATE UNIQUE INDEX suppressed_address ON suppressed (address) WHERE address IS NOT NULL;
CREATE INDEX suppressed_person ON suppressed (person) WHERE person IS NOT NULL;
INSERT INTO suppressed (person, since, source, reason)
    SELECT person, since, 'smtp', 'the mail server refused the address for good' FROM suppressed_before;
DROP TABLE suppressed_before;

-- Mails that came back, each at most once.
CREATE TABLE bounces (
    mail    INTEGER PRIMARY KEY REFERENCES mails (ordinal),
    at      TEXT NOT NULL,
    address TEXT,
    status  TEXT
);
CREATE INDEX bounces_of_address ON bounces (address, at) WHERE address IS NOT NULL;

-- What a calendar last answered to an invitation.
CREATE TABLE answers (
    uid       TEXT    PRIMARY KEY,
    person    TEXT    NOT NULL,
    programme TEXT    NOT NULL,
    enrolment TEXT    NOT NULL,
    session   TEXT    NOT NULL,
    answer    TEXT    NOT NULL CHECK (answer IN ('accepted', 'tentative', 'declined')),
    sequence  INTEGER NOT NULL,
    stamp     TEXT    NOT NULL,
    at        TEXT    NOT NULL
) WITHOUT ROWID;
CREATE INDEX answers_of_person ON answers (person);

-- Every mail that came in. Its bytes are kept only where a person has to look at them.
CREATE TABLE received (
    ordinal INTEGER PRIMARY KEY,
    digest  TEXT    NOT NULL UNIQUE,
    at      TEXT    NOT NULL,
    kind    TEXT    NOT NULL CHECK (kind IN ('bounce', 'delayed', 'reply', 'automatic', 'unknown')),
    note    TEXT    NOT NULL,
    mail    INTEGER,
    person  TEXT,
    raw     BLOB
);
CREATE INDEX received_from_person ON received (person) WHERE person IS NOT NULL;
CREATE INDEX received_at ON received (at);

-- The addresses that stand in bytes that are kept, as fingerprints, so that erasing a person finds them.
CREATE TABLE mentions (
    address  TEXT    NOT NULL,
    received INTEGER NOT NULL REFERENCES received (ordinal) ON DELETE CASCADE,
    PRIMARY KEY (address, received)
) WITHOUT ROWID;
CREATE INDEX mentions_of_received ON mentions (received);
