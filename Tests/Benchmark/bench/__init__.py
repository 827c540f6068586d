"""Measures the module and the setup command beside others of their kind; see scripts/benchmark."""
