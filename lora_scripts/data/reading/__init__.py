"""Files to drafts: one reader per shape."""
