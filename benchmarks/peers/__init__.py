"""Other tools' verdicts on the same windows, each tool in an environment of its own."""
