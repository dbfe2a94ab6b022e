"""Results become verdicts and tables. Only ``terminal`` draws, all else is pure; nothing here reaches a network or reads a result file."""
