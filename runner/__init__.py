"""Re-measure a published latency table: ``contract`` is said by both sides, ``bench`` lives in the container, ``host`` outside.

``bench`` and ``host`` never import each other.
"""

__version__ = "0.1.0"
