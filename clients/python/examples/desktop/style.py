"""How the window looks: one light theme, a few colours with a meaning each."""

from __future__ import annotations

INK = "#1c2430"
FAINT = "#66717f"
ACCENT = "#2459d1"
GOOD = "#1a7f4b"
BUSY = "#a45a00"
BAD = "#b3261e"

#: Text and background of a status.
STATUS_COLOURS = {
    "connected": (GOOD, "#e3f4ea"),
    "connecting": (BUSY, "#fdf0dc"),
    "waiting": (BUSY, "#fdf0dc"),
    "closed": (BAD, "#fbe6e4"),
}

SHEET = f"""
* {{ font-family: "Inter", "Segoe UI", "Helvetica Neue", "DejaVu Sans"; font-size: 13px; color: {INK}; }}
QMainWindow, #page, #column {{ background: #f3f5f8; }}
#header {{ background: white; border-bottom: 1px solid #dfe4ea; }}
#brand {{ font-size: 17px; font-weight: 600; }}
#server, .faint {{ color: {FAINT}; font-size: 12px; }}
#heading {{ font-size: 14px; font-weight: 600; }}
#count {{ color: {FAINT}; font-size: 13px; }}
#empty {{ color: {FAINT}; padding: 36px 12px; }}
#pill {{ border-radius: 13px; padding: 0 12px; font-size: 12px; font-weight: 600; }}
#card {{ background: white; border: 1px solid #dfe4ea; border-radius: 10px; }}
#title {{ font-size: 13px; font-weight: 600; }}
#chip {{ background: #edf1f6; color: {FAINT}; border-radius: 8px; padding: 2px 9px; font-size: 11px; }}
#chip[done="true"] {{ background: #e3f4ea; color: {GOOD}; }}
#score {{ background: #e8effd; color: {ACCENT}; border-radius: 8px; padding: 2px 9px; font-size: 11px; font-weight: 600; }}
QProgressBar {{ background: #e6eaf0; border: none; border-radius: 3px; max-height: 6px; min-height: 6px; }}
QProgressBar::chunk {{ background: {ACCENT}; border-radius: 3px; }}
QProgressBar[done="true"]::chunk {{ background: {GOOD}; }}
QPushButton {{ border-radius: 7px; padding: 6px 12px; font-weight: 600; border: 1px solid #cfd6df; background: white; }}
QPushButton:hover {{ background: #f3f5f8; }}
QPushButton:focus {{ border-color: {ACCENT}; }}
QPushButton:disabled {{ color: #9aa4b0; border-color: #e3e8ee; background: #f7f9fb; }}
#approve {{ background: {ACCENT}; border-color: {ACCENT}; color: white; }}
#approve:hover {{ background: #1c49b0; }}
#approve:disabled {{ background: #b9c9ee; border-color: #b9c9ee; color: white; }}
#reject {{ color: {BAD}; }}
#reject:disabled {{ color: #d9a9a6; }}
#notice {{ background: #fbe6e4; border: 1px solid #eebdb9; border-radius: 10px; }}
#notice QLabel {{ color: #7d1a14; }}
#notice QPushButton {{ background: transparent; border: none; color: #7d1a14; padding: 2px 6px; }}
QScrollArea {{ border: none; background: transparent; }}
QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
QScrollBar::handle:vertical {{ background: #cdd4dd; border-radius: 4px; min-height: 32px; margin: 1px; }}
QScrollBar::add-line, QScrollBar::sub-line {{ height: 0; }}
"""
