//! Sessions, gates, units and the order in which effects leave.
