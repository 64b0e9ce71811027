"""Best references: resolved, fetched once, verified, published by checksum."""
