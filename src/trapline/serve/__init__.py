"""The serve shell: one shell for all TCP traps; sockets, clocks and processes live here."""
