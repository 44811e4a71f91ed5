"""`python -m nexus_api.cli`: the same as `nexus`."""

from nexus_api.cli import main

if __name__ == "__main__":
    main(prog_name="nexus")
