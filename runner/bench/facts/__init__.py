"""What this host, its packages, its drivers and its kernel say. Facts are read here and never judged."""
