"""Re-measure a published latency table: ``contract`` is said by both sides, ``bench`` lives in the container, ``host`` outside."""

__version__ = "0.1.0"
