"""What the command's exit status says."""

from typing import Final

DONE: Final = 0
"""All went well; for ``compare``: equal."""
FAILED: Final = 1
"""Something could not be done; for ``compare``: different."""
WRONG_USE: Final = 2
"""The command line asks for what does not exist: a step, a parameter, an option, a value."""
INTERRUPTED: Final = 130
"""Stopped with Ctrl-C or SIGTERM."""
