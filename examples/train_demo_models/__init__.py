"""Training of the two bundled demo models: ``python -m examples.train_demo_models encoder|reranker``."""
