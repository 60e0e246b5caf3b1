"""Pictures: found, opened, their tags and captions."""
