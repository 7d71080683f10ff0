"""The lab's database: runs, their points, studies and dashboards. SQLite with one writer."""

from backend.store.engine import DatabaseError, open_engine
from backend.store.reads import Points, SeriesInfo
from backend.store.store import Store
from backend.store.tables import Dashboard, Run

__all__ = ["Dashboard", "DatabaseError", "Points", "Run", "SeriesInfo", "Store", "open_engine"]
