"""The Python client against a real orchestrator."""
