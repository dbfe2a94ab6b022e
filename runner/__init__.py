"""Re-measure a published latency table: ``bench`` runs in containers, ``host`` outside, and ``contract`` in both.

``bench`` and ``host`` never import each other.
"""

__version__ = "0.1.0"
