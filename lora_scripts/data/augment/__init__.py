"""More ways to ask what a small set answers."""
