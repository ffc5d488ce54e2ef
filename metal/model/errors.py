"""Every error a person may see: what happened, where, and what to do next.

The exit codes are part of the command line's contract:
0 done, 1 failed, 2 bad input, 3 refused, 4 unreachable, 10 changes pending.
"""


class MetalError(Exception):
    """Something a person must know about; `exit_code` is what the command ends with."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.mend = mend

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        return f"{line}\n  → {self.mend}" if self.mend else line


class Failed(MetalError):
    """It was tried and did not work."""

    exit_code = 1


class NotTaken(Failed):
    """A BMC refused a password that it was given, or did not let in who has it."""

    tries = 0
    """Log-ins that were refused on the way to this."""


class NoEffect(NotTaken):
    """It has taken none, and what opened it before still does, as a new log-in has shown."""


class BadInput(MetalError):
    """What was given is wrong; nothing was done."""

    exit_code = 2


class Refused(MetalError):
    """It could be done but must not: a safety rule says no."""

    exit_code = 3


class WrongPassword(Refused):
    """A credential was refused, after one try. Another one may be tried once, if it is at hand."""


class NoSession(WrongPassword):
    """It was refused while the BMC had no session free: it may be right all the same."""


class Unreachable(MetalError):
    """No answer. Silent is not absent: nothing is concluded from it. Worth a retry."""

    exit_code = 4
