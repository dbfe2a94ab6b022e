"""Results become one static page, with its figures and its data beside it. Nothing here judges: verdicts come from ``judging``."""
