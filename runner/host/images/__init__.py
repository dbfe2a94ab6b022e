"""A stack becomes an image: what is built from, the builder, what came out. Nothing here talks to a cluster."""
