"""Real gRPC servers and channels in one process, on loopback."""
