//! Loading a log: the manifest's files in order, checked, into a sink.

mod sink;

pub use sink::{BaseLoaded, LoadNotice, LoadOptions, LoadSink, Loaded, Origin};
