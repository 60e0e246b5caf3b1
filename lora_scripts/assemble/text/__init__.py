"""Text runs: from question and answer files to a proven adapter."""
