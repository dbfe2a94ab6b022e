"""Numbers become figures: SVG with a title and a description in words, the same bytes for the same numbers. Nothing here knows a result."""
