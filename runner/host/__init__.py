"""What runs outside the container: catalog, lock, requests, comparison. The verbs meet on disk and never import each other."""
