//! Sockets, files, clock and threads for a machine. Carries out outputs and reports what came of them; it
//! holds no opinion about Redis.
//! Always: one machine runs on one thread; nothing on the path from a socket to a reply locks or sends on a
//! channel; replies leave from one flusher, after the machine has settled.

mod ahead;
mod alarm;
mod clock;
mod connect;
mod connection;
mod courteous;
mod disk;
mod flusher;
mod group;
mod http;
mod interlude;
mod lanes;
mod links;
mod listen;
mod signals;
mod spin;
mod tls;
mod worker; // read me first

pub use clock::Clock;
pub use disk::RealDisk;
pub use tls::check as check_tls;
pub use worker::{Driver, NoInterlude};
