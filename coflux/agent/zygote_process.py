"""Entry point of the zygote's process. Its work does not belong here (`zygote`)."""

from __future__ import annotations

from coflux.agent import forking


def main() -> None:
    """Prepare for cheap forks before anything else is imported, and serve."""
    forking.import_careful_modules()
    # Late: it imports those modules, too.
    from coflux.agent import zygote

    zygote.main()


if __name__ == "__main__":
    main()
