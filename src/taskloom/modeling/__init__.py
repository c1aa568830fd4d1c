"""One encoder, one head matrix, one task embedding for all tasks."""
