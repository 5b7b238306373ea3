-- The latest moment that the clock has shown, by which it is noticed that it went back (services/chassis/going_back.py).
CREATE TABLE latest (
    only   INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    moment TEXT    NOT NULL
) WITHOUT ROWID;
