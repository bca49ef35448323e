//! Sockets, files, clock and threads for a machine.
