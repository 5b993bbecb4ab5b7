"""The search page and its JSON API: FastAPI and one page of its own.

Gradio was weighed against it and lost: it weighs 80 MB in 52 wheels against 4 MB in 11, and would
save none of the work, for its gallery knows no two rows with arrows between them, no address for
each query, and no `POST /search` with a schema, which FastAPI has to serve anyway. One template
and three small scripts, with no build step, are less to keep, and fetch nothing from elsewhere.
"""

from __future__ import annotations
