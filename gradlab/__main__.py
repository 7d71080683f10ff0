"""`python -m gradlab`, and the program `gradlab`."""

from backend.cli import main

if __name__ == "__main__":
    main()
