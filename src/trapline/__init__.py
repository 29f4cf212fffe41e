"""Trapline: spam honeypots that prove what may be blocked without losing genuine mail."""
