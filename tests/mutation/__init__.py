"""Whether the tests bite: not collected by pytest, run by ``make mutation``."""
