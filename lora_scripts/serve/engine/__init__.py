"""What makes tokens: base, adapters on their rows, the choice of the next one."""
