"""What leaves the lab: one self-contained HTML file, CSV, Parquet."""

from backend.sharing.page import html, html_pieces
from backend.sharing.table import csv_rows, parquet

__all__ = ["csv_rows", "html", "html_pieces", "parquet"]
