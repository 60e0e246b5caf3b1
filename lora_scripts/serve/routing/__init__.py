"""Which adapter a question is meant for."""
