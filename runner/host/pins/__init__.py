"""What finds, checks and resolves pins. The only room that asks package indexes, registries and git servers. No reading of results."""
