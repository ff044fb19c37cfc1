"""Acting on verdicts: rollback, notices, and the record of both."""
