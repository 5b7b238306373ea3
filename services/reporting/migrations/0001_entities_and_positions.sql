-- What the reports are made of, one row an entity (services/chassis/state.py). It can always be made again from the
-- streams: 'deelname report rebuild'.
CREATE TABLE entities (
    partition TEXT NOT NULL,
    key       TEXT NOT NULL,
    kind      TEXT NOT NULL,
    body      TEXT NOT NULL,
    PRIMARY KEY (partition, key)
) WITHOUT ROWID;

-- Up to where each stream has been counted; written in the transaction that counts.
CREATE TABLE positions (
    stream   TEXT    PRIMARY KEY,
    position INTEGER NOT NULL
) WITHOUT ROWID;
