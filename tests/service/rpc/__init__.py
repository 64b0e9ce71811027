"""What `jwcal.core.rpc` does for every service."""
