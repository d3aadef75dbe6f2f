"""The one exception that stands for a problem its reader can mend."""


class UserError(Exception):
    """Something outside the program is wrong: a file, a setting, a request.

    The text is one line that says what was wrong, the value received and what to do. Command lines print it without a
    traceback and exit with 2; services answer 4xx with it. Anything else that is raised is a bug of ours.
    """


class Shortage(UserError):
    """There is too little memory for an item of work; others, or a smaller one, may still fit."""


class TooLarge(UserError):
    """A picture has more pixels than are let in."""
