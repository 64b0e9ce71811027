"""Product files: the only place, with the reference loader, that knows stdatamodels."""
