"""``python -m fieldrx``."""

from fieldrx.cli import main

if __name__ == "__main__":
    main(prog_name="fieldrx")
