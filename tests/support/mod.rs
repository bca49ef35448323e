//! What integration tests share: a server to talk to, a client to talk with, scripts to say.
//! Knows nothing of Tenon's insides: the same code drives redis-server, which is the judge.
//! Always: every wait is bounded, every server is ended by its own process handle.
#![allow(dead_code, reason = "each test program uses its part of this")]
#![allow(clippy::print_stderr, reason = "a failing or skipped test says why on the terminal")]

pub(crate) mod server;

pub(crate) mod client;
pub(crate) mod reply;

pub(crate) mod replicas;

pub(crate) mod disks;

pub(crate) mod contents;
pub(crate) mod filling;
pub(crate) mod saves;

pub(crate) mod script;

pub(crate) mod chance;
pub(crate) mod tools;
