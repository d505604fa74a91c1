"""Verify a server from Python: `verify(url, Plan())`."""

from mockveo_contracts.servers.plan import VerifyPlan as Plan
from mockveo_contracts.servers.verify import verify

__all__ = ["Plan", "verify"]
