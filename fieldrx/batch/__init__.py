"""Many reconstructions from one table: positions, plates, sweeps of parameters.

`table` reads the rows, `status` keeps in small files beside the outputs who does what and how it went, so
that several processes and machines share a table, and `workers` runs rows, each as a command in a process of
its own.
"""

from fieldrx.batch.status import Status, read_status
from fieldrx.batch.table import Job, read_jobs
from fieldrx.batch.workers import Settings, work

__all__ = ["Job", "Settings", "Status", "read_jobs", "read_status", "work"]
