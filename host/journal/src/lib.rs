//! Effects as records, and the positions they are counted in.
