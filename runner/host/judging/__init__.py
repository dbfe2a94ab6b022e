"""Results become verdicts and tables. Pure but for ``terminal``, which draws; nothing here reaches a network or reads a result file."""
