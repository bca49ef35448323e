//! Ids, time, chance and the interface between a machine and its world.
