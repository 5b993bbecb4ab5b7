"""Training of the two bundled demo models: ``python -m mmrag.catalogue.train encoder|reranker``."""
