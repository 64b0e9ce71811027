"""Runs, their graphs of jobs, and the queue that workers lease them from."""
