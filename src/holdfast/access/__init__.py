"""The front door for mail clients: IMAP, sign-in, and later the other protocols."""
