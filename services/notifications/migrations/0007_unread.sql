-- How much is kept for a person, so that a mail that comes in need not count it: strangers who write cannot fill the disk.
CREATE TABLE unread (
    mails  INTEGER NOT NULL,
    octets INTEGER NOT NULL
);
INSERT INTO unread (mails, octets) SELECT count(*), coalesce(sum(length(raw)), 0) FROM received WHERE raw IS NOT NULL;
CREATE TRIGGER received_kept AFTER INSERT ON received WHEN NEW.raw IS NOT NULL BEGIN
    UPDATE unread SET mails = mails + 1, octets = octets + length(NEW.raw);
END;
CREATE TRIGGER received_forgotten AFTER DELETE ON received WHEN OLD.raw IS NOT NULL BEGIN
    UPDATE unread SET mails = mails - 1, octets = octets - length(OLD.raw);
END;
