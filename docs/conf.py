"""How Sphinx makes these pages: `make docs`."""

project = "Kontext Gateway"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "Kontext Gateway"
myst_heading_anchors = 3
exclude_patterns = ["build"]
suppress_warnings = ["toc.not_included"]  # runbooks are listed by their own page
