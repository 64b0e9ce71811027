"""The worker shell: a supervisor that leases jobs and a child process that computes them."""
