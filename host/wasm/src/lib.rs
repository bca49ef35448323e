//! WebAssembly components as policies.
