//! The program: reads configuration files, builds engines, chooses policies, runs.
fn main() {}
