"""Renew the pictures of the gallery's cards from a lab in which its entries were run.

`python -m docs.gallery_pictures HOME` stores the first figure of each entry that has a finished
study in `backend/gallery/pictures/`, where a lab without results of its own finds it.
"""

import sys
from pathlib import Path

from backend.figures.picture import picture
from backend.gallery.catalogue import entries
from backend.gallery.report import study_to_report
from backend.serve import running_lab

PICTURES = Path(__file__).parent.parent / "backend" / "gallery" / "pictures"


def main(home: Path) -> None:
    """Write the pictures of the lab in `home`."""
    PICTURES.mkdir(exist_ok=True)
    with running_lab({"home": home}) as lab:
        for name in entries():
            study_id = study_to_report(lab.gallery_entry(name)["studies"])
            if study_id is None:
                print(f"{name}: no finished study")
                continue
            entry = lab.gallery_entry(name, study_id)
            drawn = lab.entry_figure(entry, entry["figures"][0])
            (PICTURES / f"{name}.svg").write_text(picture(drawn), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
