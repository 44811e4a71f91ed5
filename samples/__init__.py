"""Pieces of sound and video that Nexus makes itself, to show and to test that it works from end to end."""
