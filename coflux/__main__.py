"""`python -m coflux` is `coflux`. Nothing else belongs here."""

from coflux.cli import main

if __name__ == "__main__":
    main()
