"""What needs an accelerator of its own. Nothing here is collected by pytest."""
