"""Nexus: items through a chain of steps into an archive that can be searched."""
