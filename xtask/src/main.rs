//! Chores of the workspace: `cargo xtask check`, `cargo xtask bench`.
fn main() {}
