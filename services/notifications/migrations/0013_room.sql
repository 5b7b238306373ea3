-- Who sent a mail that is kept for a person, as a fingerprint, and how much each has there: what is kept of all, of
-- strangers together, and of each person or else sender, has bounds of its own.
ALTER TABLE received ADD COLUMN sender TEXT;
CREATE INDEX received_unread ON received (at) WHERE raw IS NOT NULL;
DROP TRIGGER received_kept;
DROP TRIGGER received_forgotten;
DROP TABLE unread;
CREATE TABLE unread (
    share  TEXT    PRIMARY KEY,
    mails  INTEGER NOT NULL,
    octets INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO unread (share, mails, octets)
    SELECT 'all', count(*), coalesce(sum(length(raw)), 0) FROM received WHERE raw IS NOT NULL;
INSERT INTO unread (share, mails, octets)
    SELECT 'strangers', count(*), coalesce(sum(length(raw)), 0) FROM received WHERE raw IS NOT NULL AND mail IS NULL;
INSERT INTO unread (share, mails, octets)
    SELECT 'of:' || coalesce(person, ''), count(*), sum(length(raw)) FROM received WHERE raw IS NOT NULL
    GROUP BY coalesce(person, '');
CREATE TRIGGER received_kept AFTER INSERT ON received WHEN NEW.raw IS NOT NULL BEGIN
    UPDATE unread SET mails = mails + 1, octets = octets + length(NEW.raw)
        WHERE share = 'all' OR share = 'strangers' AND NEW.mail IS NULL;
    INSERT INTO unread (share, mails, octets)
        VALUES ('of:' || coalesce(NEW.person, NEW.sender, ''), 1, length(NEW.raw))
        ON CONFLICT (share) DO UPDATE SET mails = mails + 1, octets = octets + excluded.octets;
END;
CREATE TRIGGER received_forgotten AFTER DELETE ON received WHEN OLD.raw IS NOT NULL BEGIN
    UPDATE unread SET mails = mails - 1, octets = octets - length(OLD.raw)
        WHERE share = 'all' OR share = 'strangers' AND OLD.mail IS NULL
        OR share = 'of:' || coalesce(OLD.person, OLD.sender, '');
    DELETE FROM unread WHERE share = 'of:' || coalesce(OLD.person, OLD.sender, '') AND mails <= 0;
END;
CREATE TRIGGER received_read AFTER UPDATE OF raw ON received WHEN OLD.raw IS NOT NULL AND NEW.raw IS NULL BEGIN
    UPDATE unread SET mails = mails - 1, octets = octets - length(OLD.raw)
        WHERE share = 'all' OR share = 'strangers' AND OLD.mail IS NULL
        OR share = 'of:' || coalesce(OLD.person, OLD.sender, '');
    DELETE FROM unread WHERE share = 'of:' || coalesce(OLD.person, OLD.sender, '') AND mails <= 0;
END;
