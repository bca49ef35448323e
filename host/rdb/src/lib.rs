//! The RDB file format, read and written.
