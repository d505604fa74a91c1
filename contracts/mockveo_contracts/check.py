"""Check a client from Python: `with drive(client) as driver: report = check(driver, Plan())`."""

from mockveo_contracts.clients.check import CheckPlan as Plan
from mockveo_contracts.clients.check import check, drive

__all__ = ["Plan", "check", "drive"]
