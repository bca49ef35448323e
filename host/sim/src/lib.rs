//! A fake world for machines: a clock, disks that crash and a network that is cut, all of which follow from a seed. It
//! carries out what machines ask for, as the driver does, and judges what they make of it.
//!
//! Three scenarios: `crash` (one engine, its process killed or its power lost again and again), `damage` (what an engine
//! loads of damaged files) and `replication` (a primary and its replicas under a bad network). A campaign runs seeds of one of them, each twice, and keeps those that fail.
//! Always: equal seeds give equal runs, down to the byte and the microsecond.

mod node;
mod world; // read me first

mod clock;
mod disk;
mod lanes;
mod network;
mod trace;

mod client;
mod digest;
mod server;
mod workload;

mod crash;
mod damage;
mod replicas;

mod campaign;

pub use campaign::{Campaign, Report, Scenario};
pub use clock::{Clock, START_UNIX_US};
pub use crash::Crash;
pub use damage::{Damage, GivenFile, SETS_PER_SEED};
pub use disk::{CrashDisk, Trouble};
pub use lanes::Pace;
pub use node::Node;
pub use replicas::Replicas;
pub use server::Loaders;
pub use trace::{Trace, TraceSum};
pub use world::{Happened, PORT, Told, World};
