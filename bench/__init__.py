"""What Nexus claims about speed, as ratios measured side by side."""
