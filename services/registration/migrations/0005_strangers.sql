-- What strangers have come to hold and whom they had mailed, for an hour, and which mailboxes were asked to confirm, for thirty days: both by a
-- digest under the key of the links, so that nobody who has the database knows who it was.
CREATE TABLE sources (
    source    TEXT    NOT NULL,
    programme TEXT    NOT NULL,
    enrolment TEXT,
    units     INTEGER NOT NULL,
    mails     INTEGER NOT NULL,
    since     TEXT    NOT NULL
);

CREATE INDEX sources_by_source ON sources (source, programme, since);
CREATE INDEX sources_by_enrolment ON sources (enrolment) WHERE enrolment IS NOT NULL;
CREATE INDEX sources_by_time ON sources (since);

CREATE TABLE asked (
    mailbox TEXT NOT NULL,
    since   TEXT NOT NULL
);

CREATE INDEX asked_by_mailbox ON asked (mailbox, since);
CREATE INDEX asked_by_time ON asked (since);

-- Those who have yet to confirm appear as well, until they come in or go.
ALTER TABLE appearances RENAME TO appearances_before;
DROP INDEX appearances_of_enrolment;

CREATE TABLE appearances (
    person    TEXT NOT NULL,
    enrolment TEXT NOT NULL,
    programme TEXT NOT NULL,
    standing  TEXT NOT NULL CHECK (standing IN ('pending', 'confirmed', 'waiting', 'withdrawn', 'refused')),
    since     TEXT NOT NULL,
    PRIMARY KEY (person, enrolment)
) WITHOUT ROWID;

INSERT INTO appearances SELECT person, enrolment, programme, standing, since FROM appearances_before;
DROP TABLE appearances_before;
CREATE INDEX appearances_of_enrolment ON appearances (enrolment);
