"""The one exception for a user's mistake."""


class InputError(ValueError):
    """Bad input: one line that says what was expected, what came, and what to do.

    The command line prints it without a traceback and leaves with status 2.
    """
