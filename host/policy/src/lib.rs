//! Decisions as traits: facts in, verdict out, every verdict guarded.
