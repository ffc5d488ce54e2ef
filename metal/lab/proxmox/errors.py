"""What a call or a task ends with when it does not succeed."""


class ApiError(Exception):
    """An HTTP answer of 400 or more, with the text that real Proxmox gives.

    `errors` names the parameters that are wrong; only answers of 400 have it.
    """

    def __init__(self, status: int, message: str, errors: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors or {}


class TaskError(Exception):
    """The exit status of a task that failed: its call answered 200 with a UPID nevertheless."""


def bad_parameters(errors: dict[str, str]) -> ApiError:
    return ApiError(400, "Parameter verification failed.", errors)
