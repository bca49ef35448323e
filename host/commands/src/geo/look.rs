//! What is known of members by name: GEODIST, GEOHASH, GEOPOS.

use tenon_resp::Args;

use super::cell::Position;
use super::distance::distance_m;
use super::text::{write_coordinate, write_distance};
use super::unit_at;
use crate::{CommandError, Context, Outcome};

pub(super) fn geodist(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let unit_m = match args.len() {
        4 => 1.0,
        5 => unit_at(args, 4)?,
        _ => return Err(CommandError::Syntax),
    };
    let zset = ctx.db.zset(args.get(1))?;
    let position = |index: usize| zset?.score(args.get(index)).map(Position::of_score);
    match position(2).zip(position(3)) {
        Some((from, to)) => write_distance(&mut ctx.reply, distance_m(from, to) / unit_m),
        None => ctx.reply.null(),
    }
    Ok(())
}

pub(super) fn geohash(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let zset = ctx.db.zset(args.get(1))?;
    let members = args.rest(2);
    ctx.reply.array(members.len());
    for member in members {
        match zset.and_then(|zset| zset.score(member)) {
            Some(score) => ctx.reply.bulk(&Position::of_score(score).geohash_text()),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

pub(super) fn geopos(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let zset = ctx.db.zset(args.get(1))?;
    let members = args.rest(2);
    ctx.reply.array(members.len());
    for member in members {
        match zset.and_then(|zset| zset.score(member)) {
            Some(score) => {
                let Position { longitude, latitude } = Position::of_score(score);
                ctx.reply.array(2);
                write_coordinate(&mut ctx.reply, longitude);
                write_coordinate(&mut ctx.reply, latitude);
            }
            None => ctx.reply.null_array(),
        }
    }
    Ok(())
}
