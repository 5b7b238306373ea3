-- The facts: the only source of truth. The stream LOG_REGISTRATION is a copy of this table.
CREATE TABLE log (
    position  INTEGER PRIMARY KEY,
    programme TEXT    NOT NULL,
    version   INTEGER NOT NULL,
    subject   TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    body      BLOB    NOT NULL,
    UNIQUE (programme, version)
);

-- The answers to partners, relayed by the same machinery; "programme" holds the partner.
CREATE TABLE outcomes (
    position  INTEGER PRIMARY KEY,
    programme TEXT    NOT NULL,
    version   INTEGER NOT NULL,
    subject   TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    body      BLOB    NOT NULL,
    UNIQUE (programme, version)
);

-- Who is who: the only table with personal data. "address" is the form in which addresses are compared.
CREATE TABLE people (
    person   TEXT PRIMARY KEY,
    address  TEXT NOT NULL UNIQUE,
    name     TEXT NOT NULL,
    email    TEXT NOT NULL,
    language TEXT NOT NULL,
    since    TEXT NOT NULL
) WITHOUT ROWID;

-- Which programme an enrolment belongs to, who asked for it, and by which message.
CREATE TABLE enrolments (
    enrolment TEXT PRIMARY KEY,
    programme TEXT NOT NULL,
    source    TEXT NOT NULL,
    request   TEXT
) WITHOUT ROWID;

CREATE INDEX enrolments_by_request ON enrolments (source, request) WHERE request IS NOT NULL;

-- When incomplete teams must be complete, so that time passing can be noticed without loading every programme.
CREATE TABLE deadlines (
    enrolment   TEXT PRIMARY KEY,
    programme   TEXT NOT NULL,
    complete_by TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX deadlines_by_time ON deadlines (complete_by);

-- Every id that a command or an intake message came with, and its answer, for ever: a repetition is answered the same.
CREATE TABLE requests (
    source TEXT    NOT NULL,
    id     TEXT    NOT NULL,
    digest BLOB    NOT NULL,
    status INTEGER NOT NULL,
    body   BLOB    NOT NULL,
    PRIMARY KEY (source, id)
) WITHOUT ROWID;

-- Which deliveries from which intake stream have been answered. "stored" tells a stream that was made anew, and counts
-- from 1 again, from the one before it.
CREATE TABLE deliveries (
    source   TEXT    NOT NULL,
    sequence INTEGER NOT NULL,
    stored   TEXT    NOT NULL,
    PRIMARY KEY (source, sequence, stored)
) WITHOUT ROWID;
