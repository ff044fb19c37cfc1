"""`python -m monitor` is the command `monitor`."""

from monitor.cli.start import main

main()
