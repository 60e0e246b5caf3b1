"""Picture runs: from a folder of pictures to a proven style."""
