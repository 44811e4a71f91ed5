"""The doors of Nexus for people and programs: the command line, and the HTTP API that grows here."""
