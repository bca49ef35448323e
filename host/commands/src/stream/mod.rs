//! Stream commands: entries that are added, read and trimmed, and groups of consumers that share them.
//! Always: a stream stays when its last entry goes; only commands for keys remove it. What a group does is
//! propagated as what came of it, so that nobody who follows has to choose.

mod subcommands;
mod table; // read me first

mod add;
mod claim;
mod entries;
mod group;
mod help;
mod info;
mod pending;
mod read;

mod delivery; // what several of them share
mod effect;
mod id;
mod lag;
mod options;
#[cfg(test)]
mod tests;

pub(crate) use table::COMMANDS;
