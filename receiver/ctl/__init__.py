"""`rollbackctl`: people's way to the receiver. It speaks the API and nothing else."""
