"""Publish: each file renders listings into one format, and does nothing else."""
