"""Stage 3 of the pipeline."""
