-- What people said for one programme alone, such as a diet for the lunch: personal data, each field with a term of its own.
CREATE TABLE particulars (
    person    TEXT NOT NULL,
    programme TEXT NOT NULL,
    field     TEXT NOT NULL,
    value     TEXT NOT NULL,
    PRIMARY KEY (person, programme, field)
) WITHOUT ROWID;

CREATE INDEX particulars_of_programme ON particulars (programme, field);

-- Where people appear and when programmes end, folded from the log: from these follows how long people are known.
CREATE TABLE appearances (
    person    TEXT NOT NULL,
    enrolment TEXT NOT NULL,
    programme TEXT NOT NULL,
    standing  TEXT NOT NULL CHECK (standing IN ('confirmed', 'waiting', 'withdrawn', 'refused')),
    since     TEXT NOT NULL,
    PRIMARY KEY (person, enrolment)
) WITHOUT ROWID;

CREATE INDEX appearances_of_enrolment ON appearances (enrolment);

CREATE TABLE endings (
    programme TEXT PRIMARY KEY,
    withdrawn TEXT,
    ends      TEXT,
    keep      INTEGER
) WITHOUT ROWID;

-- How far the log has been folded into them (services.chassis.reader.POSITIONS_SCHEMA).
CREATE TABLE positions (
    stream   TEXT    PRIMARY KEY,
    position INTEGER NOT NULL
) WITHOUT ROWID;
