"""
What a mail that came in says, read in a process of its own (``__main__``), which knows nothing of the rest.

Nothing here imports anything but the standard library and what parses mails: the process starts in a fifth of a second.
"""
