"""What both sides say to each other: request and result. Python 3.8, standard library only."""
