-- Which code counted: another may count what this one passed over, and counts everything anew (app.py).
CREATE TABLE folded_by (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    code TEXT NOT NULL
);
