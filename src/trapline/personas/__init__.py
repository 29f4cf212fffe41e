"""Personas: one TOML file for each server that a trap can pretend to be."""
