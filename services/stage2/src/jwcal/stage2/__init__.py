"""Stage 2 of the pipeline."""
