"""What every service and client of jwcal speaks gRPC with: servers, channels, errors, security, metrics, traces."""
