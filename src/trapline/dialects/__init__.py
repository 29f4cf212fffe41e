"""Dialects: how one family of mail servers reads commands and words its refusals."""
