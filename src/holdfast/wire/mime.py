"""MIME structure of a stored message: parts, bodies, and what IMAP asks of them.

Everything is an offset into the raw message, which is never changed. Any bytes
are read as some message: a malformed part is a text/plain leaf. Depth and part
count are bounded.

Source: RFC 2045, RFC 2046 section 5.1; RFC 5322; RFC 2047 for encoded words.
"""
