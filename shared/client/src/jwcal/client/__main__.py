"""``python -m jwcal.client``."""

from jwcal.client.cli import main

main()
