"""The records and rules that bench and host share: request, result, frame. Python 3.8, standard library only; nothing of bench or host."""
