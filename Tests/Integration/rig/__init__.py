"""The tools of the integration tests and the demonstration."""
