"""Whether the checks of ``make lint`` bite: slips of the hand, planted one at a time. Not collected by pytest, run by ``make slips``."""
