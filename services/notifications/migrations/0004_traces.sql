-- The traceparent (W3C Trace Context) of the fact that called for a mail: a random number, while traces are exported.
ALTER TABLE mails ADD COLUMN traceparent TEXT;
