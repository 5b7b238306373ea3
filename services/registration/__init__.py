"""Registration decides which facts come true; it is the only writer of the log."""
