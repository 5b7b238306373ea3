-- What the fold remembers (services.chassis.entities.SCHEMA).
CREATE TABLE state (
    partition TEXT NOT NULL,
    key       TEXT NOT NULL,
    kind      TEXT NOT NULL,
    body      TEXT NOT NULL,
    PRIMARY KEY (partition, key)
) WITHOUT ROWID;

-- How far it has read (services.chassis.reader.POSITIONS_SCHEMA).
CREATE TABLE positions (
    stream   TEXT    PRIMARY KEY,
    position INTEGER NOT NULL
) WITHOUT ROWID;

-- Our own facts (services.chassis.log.SCHEMA).
CREATE TABLE log (
    position  INTEGER PRIMARY KEY,
    programme TEXT    NOT NULL,
    version   INTEGER NOT NULL,
    subject   TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    body      BLOB    NOT NULL,
    UNIQUE (programme, version)
);

-- One row a planned mail, in the order of planning. Nothing here says who a person is, but for the mail server's
-- answer, which is emptied when the person is erased.
CREATE TABLE mails (
    ordinal    INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    fact       INTEGER NOT NULL,
    purpose    TEXT    NOT NULL,
    person     TEXT    NOT NULL,
    programme  TEXT    NOT NULL,
    enrolment  TEXT,
    session    TEXT,
    uid        TEXT,
    detail     TEXT    NOT NULL,
    planned_at TEXT    NOT NULL,
    due_at     TEXT    NOT NULL,
    status     TEXT    NOT NULL DEFAULT 'planned'
               CHECK (status IN ('planned', 'sending', 'sent', 'failed', 'uncertain', 'dropped')),
    attempts   INTEGER NOT NULL DEFAULT 0,
    first_at   TEXT,
    via        TEXT,
    message_id TEXT,
    answer     TEXT
);

CREATE INDEX mails_due ON mails (due_at, ordinal) WHERE status = 'planned';
CREATE INDEX mails_unresolved ON mails (status, ordinal) WHERE status IN ('sending', 'failed', 'uncertain');
CREATE INDEX mails_of_item ON mails (uid, ordinal) WHERE uid IS NOT NULL;
CREATE INDEX mails_of_person ON mails (person, ordinal);
CREATE INDEX mails_of_programme ON mails (programme, ordinal);
CREATE INDEX mails_of_enrolment ON mails (enrolment, ordinal) WHERE enrolment IS NOT NULL;

-- The mails as they go out, with the address they go to: personal data, emptied when the person is erased.
CREATE TABLE archive (
    ordinal   INTEGER PRIMARY KEY REFERENCES mails (ordinal),
    recipient TEXT NOT NULL,
    raw       BLOB NOT NULL
);

-- People whose address does not exist, as a mail server said: they get nothing more until the address is corrected or
-- somebody asks for another attempt.
CREATE TABLE suppressed (
    person TEXT PRIMARY KEY,
    since  TEXT NOT NULL
) WITHOUT ROWID;
