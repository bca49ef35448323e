//! The append-only file: manifest, batches, loading, rewriting.
