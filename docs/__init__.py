"""The documentation site: its pages, and the programs that write the generated parts of the pages. Nothing of ``runner`` imports it."""
