"""Everything that talks to a cluster, follows runs there and keeps what is learnt of them here. No verdicts; ``client`` is the door."""
