"""Figures of studies: plain functions of what `backend.studies` found, without a database."""
