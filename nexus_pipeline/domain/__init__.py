"""What Nexus is about: items, states, timelines, passages, errors. No vendor, no I/O."""
