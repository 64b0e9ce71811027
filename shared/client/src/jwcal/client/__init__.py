"""The `jwcal` command."""
