"""What leaves the lab: one self-contained HTML file, CSV, Parquet."""

from backend.sharing.own_figures import OwnFigure, OwnFigures
from backend.sharing.page import html, html_pieces, spoken
from backend.sharing.table import csv_rows, parquet

__all__ = ["OwnFigure", "OwnFigures", "csv_rows", "html", "html_pieces", "parquet", "spoken"]
