"""Traps: each file plays one service to strangers and may await only its Session."""
