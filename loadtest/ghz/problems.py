"""What keeps a run from having a result."""


class CouldNotRun(Exception):
    """No server, no model, no ghz: its text says what to do."""


class WrongUse(Exception):
    """Options or a scenario that cannot be run as they are."""
