//! Positions on the earth: members of sorted sets whose scores are 52-bit geohashes.
//! Not a type of its own: whatever works on sorted sets works on these.
//! Always: scores, distances and the order of what is found are Redis's, bit by bit.

pub(crate) mod table; // read me first

mod add;
mod look;
mod query;
mod search;

mod cell; // helpers
mod distance;
mod shape;
mod text;

#[cfg(test)]
mod tests;

use tenon_resp::Args;

use crate::{CommandError, Words};
use cell::{LATITUDE, LONGITUDE, Position};

/// Reads a longitude at word `index` and a latitude behind it.
fn position_at(args: Args<'_>, index: usize) -> Result<Position, CommandError> {
    let position = Position { longitude: args.float(index)?, latitude: args.float(index + 1)? };
    if LONGITUDE.contains(position.longitude) && LATITUDE.contains(position.latitude) {
        return Ok(position);
    }
    let Position { longitude, latitude } = position;
    let text = format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}");
    Err(CommandError::Text(text.into()))
}

/// How many metres the unit at word `index` has.
fn unit_at(args: Args<'_>, index: usize) -> Result<f64, CommandError> {
    const UNITS: [(&str, f64); 4] = [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];
    let unit = UNITS.iter().find(|(name, _)| args.is(index, name));
    let unknown = CommandError::text("ERR unsupported unit provided. please use M, KM, FT, MI");
    unit.map(|&(_, metres)| metres).ok_or(unknown)
}
