"""Object storage: one small port, with adapters for S3, a directory and memory."""
