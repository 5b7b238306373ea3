-- What the broker still knew of mails when an older copy of this database was put in place: they are not sent again.
CREATE TABLE told (
    mail   TEXT PRIMARY KEY,
    status TEXT NOT NULL CHECK (status IN ('sent', 'failed', 'uncertain'))
) WITHOUT ROWID;
