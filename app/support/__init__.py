"""Break-glass support access: an operator asks, the owner grants one object for at most an hour, and every reading is
in the account's audit log before a byte flows. Nothing works without it.
Why so: docs/decisions/0016-support-access.md."""
