"""What the figures read: queries, series, draws and laws."""
