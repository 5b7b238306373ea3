-- Where people were mailed whose mails are not kept any more, as fingerprints: erasing somebody finds by them what others
-- wrote of them.
CREATE TABLE former_addresses (
    person TEXT NOT NULL,
    address TEXT NOT NULL,
    PRIMARY KEY (person, address)
) STRICT, WITHOUT ROWID;
