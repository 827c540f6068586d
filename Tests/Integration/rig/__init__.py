"""What the integration tests and the demonstration drive a machine's logins with."""
