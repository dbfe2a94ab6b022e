"""One module per verb: its flags, its ``main`` and what it prints. No module of another room, and no other verb, imports a verb."""
