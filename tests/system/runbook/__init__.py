"""The runbook, docs/operations.md: its commands read from the page, and run as an operator would."""
