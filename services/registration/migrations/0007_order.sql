-- How a clock that is not the wall's was set, so that it is known what it showed when the broker stored a message; and how often what each partner's
-- queue had handed out was handed out again without an answer to the first of it.
CREATE TABLE clock (
    since TEXT NOT NULL PRIMARY KEY,
    shows TEXT NOT NULL,
    runs  TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE handed_out (
    source TEXT    NOT NULL PRIMARY KEY,
    floor  INTEGER NOT NULL,
    times  INTEGER NOT NULL
) WITHOUT ROWID;
