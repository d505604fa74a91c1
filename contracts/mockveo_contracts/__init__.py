"""Contract tests: is a client of `/v1/videos`, or a server of it, what the pages say?

    from mockveo_contracts import Case, Outcome

    def client(case: Case) -> Outcome: ...

`mockveo check --python my_package.module:client` drives it, and `mockveo_contracts.pytest` makes tests of it.
Importing this package loads next to nothing; hypothesis is loaded when cases are generated.
"""

from mockveo_contracts.case import Case, DeadlinePassed, Image, Input, JobFailed, Killed, Outcome

__all__ = ["Case", "DeadlinePassed", "Image", "Input", "JobFailed", "Killed", "Outcome"]
