-- What a failed delivery says about the address, and whether the mail had gone out: a mail server may refuse it at once.
ALTER TABLE bounces ADD COLUMN verdict TEXT NOT NULL DEFAULT 'failing'
    CHECK (verdict IN ('gone', 'failing', 'unreachable', 'ours'));
ALTER TABLE bounces ADD COLUMN sent INTEGER NOT NULL DEFAULT 1;
UPDATE bounces SET verdict = CASE
    WHEN status GLOB '[45].7.*' OR status IN ('5.1.7', '5.1.8', '5.1.20', '5.1.90') THEN 'ours'
    WHEN status GLOB '4.4.*' THEN 'unreachable'
    WHEN status GLOB '5.1.*' THEN 'gone'
    ELSE 'failing' END;

-- How many mails were refused because of us lately.
CREATE INDEX bounces_because_of_us ON bounces (at) WHERE verdict = 'ours';
