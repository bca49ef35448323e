//! The data commands: one row and one handler each.
