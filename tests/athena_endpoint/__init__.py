"""An AWS endpoint whose Athena executes: test equipment, see ``docs/athena-endpoint.md``."""
