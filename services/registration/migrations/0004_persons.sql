-- A person is an address and a name: several may share a mailbox. "name_folded" is the form in which names are compared
-- (contracts.base.same_name, which migrations know by that name), "confirmed" the moment at which somebody who reads
-- the mailbox confirmed something.
CREATE TABLE people_with_names (
    person      TEXT PRIMARY KEY,
    address     TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    name        TEXT NOT NULL,
    email       TEXT NOT NULL,
    language    TEXT NOT NULL,
    since       TEXT NOT NULL,
    confirmed   TEXT,
    UNIQUE (address, name_folded)
) WITHOUT ROWID;

INSERT INTO people_with_names (person, address, name_folded, name, email, language, since)
    SELECT person, address, same_name(name), name, email, language, since FROM people;

DROP TABLE people;

ALTER TABLE people_with_names RENAME TO people;

CREATE INDEX people_confirmed ON people (address) WHERE confirmed IS NOT NULL;
