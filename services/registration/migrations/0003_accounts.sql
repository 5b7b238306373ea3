-- Staff: whose account is named in facts. Tokens by their digest alone; subjects whom the proxy signed in by what it
-- calls them. This table is the one place that says who that is.
CREATE TABLE accounts (
    account       TEXT PRIMARY KEY,
    kind          TEXT NOT NULL CHECK (kind IN ('token', 'proxy')),
    name          TEXT NOT NULL,
    since         TEXT NOT NULL,
    role          TEXT,
    organisations TEXT,
    digest        TEXT,
    expires       TEXT,
    revoked       TEXT,
    used          TEXT
) WITHOUT ROWID;

CREATE UNIQUE INDEX accounts_by_name ON accounts (kind, name) WHERE revoked IS NULL;
