"""Commands: one file each; the module's first line is its help."""
