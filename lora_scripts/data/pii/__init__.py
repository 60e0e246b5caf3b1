"""Personal data: found, masked, counted."""
