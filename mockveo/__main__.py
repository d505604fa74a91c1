"""`python -m mockveo` is `mockveo`."""

from mockveo.cli.main import main

if __name__ == "__main__":
    main(prog_name="mockveo")
