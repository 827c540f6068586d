"""Measures the module and the setup command beside similar programs; see scripts/benchmark."""
