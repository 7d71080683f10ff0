"""Dashboards, and the links that share them."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import false
from sqlmodel import col, select

from backend.store.base import Base, MissingError, find_run
from backend.store.runs import digest
from backend.store.tables import Dashboard, Run, Share, SharedFigure


class DashboardReads(Base):
    """Finds dashboards and their links."""

    def dashboard(self, dashboard_id: str) -> Dashboard:
        """One dashboard, without runs that were deleted. Raises MissingError."""
        with self.reading() as session:
            stored = session.get(Dashboard, dashboard_id)
            if stored is None:
                raise MissingError(f"there is no dashboard {dashboard_id[:40]!r}")
            chosen = select(Run.id).where(col(Run.id).in_(stored.runs), Run.deleted == false())
            existing = set(session.exec(chosen))
        runs = [run for run in stored.runs if run in existing]
        return Dashboard(**{**stored.model_dump(), "runs": runs})

    def shares(self, dashboard_id: str) -> list[Share]:
        """The valid links to a dashboard."""
        query = select(Share).where(Share.dashboard == dashboard_id).order_by(col(Share.created))
        with self.reading() as session:
            return list(session.exec(query))

    def all_shares(self) -> list[tuple[Share, Dashboard]]:
        """Every valid link with its dashboard, newest first."""
        query = select(Share, Dashboard).join(Dashboard, col(Share.dashboard) == Dashboard.id)
        with self.reading() as session:
            newest_first = query.order_by(col(Share.created).desc())
            return [(share, board) for share, board in session.exec(newest_first)]

    def deleted_runs(self, dashboard_id: str) -> int:
        """How many runs of a dashboard were deleted. Raises MissingError."""
        left = self.dashboard(dashboard_id).runs
        with self.reading() as session:
            stored = session.get_one(Dashboard, dashboard_id)
            return len(set(stored.runs) - set(left))

    def shared(self, token: str) -> Dashboard:
        """The dashboard that a link's token gives access to. Raises MissingError."""
        return self.dashboard(self.link(token).dashboard)

    def link(self, token: str) -> Share:
        """The link with this token. Raises MissingError."""
        with self.reading() as session:
            share = session.exec(select(Share).where(Share.token_hash == digest(token))).first()
        if share is None:
            raise MissingError("there is no such link: it was mistyped or revoked")
        return share

    def shared_entries(self, share_id: str) -> Mapping[str, Mapping[str, Any]]:
        """The entries of the catalogue of the plug-ins' figures that a link keeps, by name."""
        query = select(SharedFigure.name, SharedFigure.entry).order_by(col(SharedFigure.id))
        with self.reading() as session:
            kept = session.exec(query.where(SharedFigure.share == share_id))
            return dict(iter(kept))

    def shared_figure(self, share_id: str, run_id: str, name: str) -> SharedFigure | None:
        """The figure of a plug-in that a link keeps of a run, if it does."""
        kept = select(SharedFigure).where(
            SharedFigure.share == share_id, SharedFigure.run == run_id, SharedFigure.name == name
        )
        with self.reading() as session:
            return session.exec(kept).first()


class Dashboards(DashboardReads):
    """Stores and shares choices of runs."""

    def create_dashboard(self, title: str, runs: list[str], text: str = "") -> Dashboard:
        """Store a choice of runs. Raises MissingError if one of them does not exist."""
        with self.writing() as session:
            for run_id in runs:
                find_run(session, run_id)
            dashboard = Dashboard(title=title, text=text, runs=runs)
            session.add(dashboard)
        return dashboard

    def share(self, dashboard_id: str, figures: Sequence[SharedFigure] = ()) -> tuple[Share, str]:
        """Create a link to a dashboard; returns its row and its token, which is not stored.

        The link keeps the `figures`, those of plug-ins. Raises MissingError.
        """
        token = secrets.token_urlsafe(32)
        dashboard = self.dashboard(dashboard_id)
        with self.writing() as session:
            share = Share(dashboard=dashboard.id, token_hash=digest(token))
            session.add(share)
            session.flush()
            for figure in figures:
                figure.share = share.id
                session.add(figure)
        return share, token

    def revoke(self, share_id: str) -> None:
        """Delete a link. Raises MissingError."""
        with self.writing() as session:
            share = session.get(Share, share_id)
            if share is None:
                raise MissingError(f"there is no share {share_id[:40]!r}")
            session.delete(share)
