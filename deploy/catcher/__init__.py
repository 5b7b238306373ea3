"""A mailbox for development: it takes every mail, keeps it in a maildir, shows it on a page, and delivers none."""
