"""Analysis: pure functions from journal entries to answers."""
