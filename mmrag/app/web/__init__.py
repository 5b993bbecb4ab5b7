"""The search page and its JSON API: FastAPI and one page of its own.

Gradio was weighed against it and lost: 80 MB in 52 wheels against 4 MB in 11, and it has neither
two rows with arrows between them, nor a URL for each query, nor `POST /search` with a schema. Its
pages also fetch fonts from elsewhere; this one fetches nothing, has no build step, and works
where there is no network.
"""

from __future__ import annotations
