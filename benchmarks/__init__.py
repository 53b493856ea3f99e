"""Measurements against peers: seeded data, fresh processes, answers compared before times."""
