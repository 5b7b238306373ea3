"""The five sample programmes, and what runs them: ``deelname demo``."""
