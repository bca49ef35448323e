//! What happens to bytes on bad disks, in bad memory and by bad hands.
//! Knows no format. Always: what was done is told in a few words.

use tenon_base::Dice;

/// The longest range that is overwritten, doubled or exchanged.
const RANGE_BYTES_MAX: u64 = 600;
/// What a disk has between two places of its own.
const SECTOR_BYTES: usize = 512;

/// Damages a file; says how.
pub(super) fn mutate(content: &mut Vec<u8>, dice: &mut Dice) -> String {
    if content.is_empty() {
        let count = 1 + dice.below(40) as usize;
        content.extend((0..count).map(|_| dice.below(256) as u8));
        return format!("{count} bytes where there were none");
    }
    match dice.below(12) {
        0..=3 => flip_bits(content, dice),
        4 | 5 => overwrite(content, dice),
        6 | 7 => truncate(content, dice),
        8 => double(content, dice),
        9 => exchange(content, dice),
        10 => leave_out(content, dice),
        _ => lose_sector(content, dice),
    }
}

fn flip_bits(content: &mut [u8], dice: &mut Dice) -> String {
    let count = 1 + dice.below(3);
    let places: Vec<(usize, u64)> = (0..count).map(|_| (place(content, dice), dice.below(8))).collect();
    for (place, bit) in &places {
        content[*place] ^= 1 << bit;
    }
    format!("bits flipped at {places:?}")
}

fn overwrite(content: &mut [u8], dice: &mut Dice) -> String {
    let (start, end) = range(content, dice);
    let kind = dice.below(4);
    for byte in &mut content[start..end] {
        *byte = match kind {
            0 => 0,
            1 => 0xff,
            // What numbers and lengths in commands are made of: more of it is understood.
            2 => b"0123456789\r\n*$-"[dice.below(15) as usize],
            _ => dice.below(256) as u8,
        };
    }
    format!("{start}..{end} overwritten ({kind})")
}

fn truncate(content: &mut Vec<u8>, dice: &mut Dice) -> String {
    let length = place(content, dice);
    content.truncate(length);
    format!("cut to {length} bytes")
}

fn double(content: &mut Vec<u8>, dice: &mut Dice) -> String {
    let (start, end) = range(content, dice);
    let block = content[start..end].to_vec();
    let at = place(content, dice);
    content.splice(at..at, block);
    format!("{start}..{end} once more at {at}")
}

fn exchange(content: &mut [u8], dice: &mut Dice) -> String {
    let (one, end) = range(content, dice);
    let count = (end - one).min(content.len() / 2);
    let other = dice.below((content.len() - count) as u64 + 1) as usize;
    let (low, high) = (one.min(other), one.max(other));
    let count = count.min(high - low).min(content.len() - high);
    let (front, back) = content.split_at_mut(high);
    front[low..low + count].swap_with_slice(&mut back[..count]);
    format!("{count} bytes at {low} and at {high} exchanged")
}

fn leave_out(content: &mut Vec<u8>, dice: &mut Dice) -> String {
    let (start, end) = range(content, dice);
    content.drain(start..end);
    format!("{start}..{end} left out")
}

fn lose_sector(content: &mut [u8], dice: &mut Dice) -> String {
    let start = place(content, dice) / SECTOR_BYTES * SECTOR_BYTES;
    let end = (start + SECTOR_BYTES).min(content.len());
    content[start..end].fill(0);
    format!("sector {start}..{end} lost")
}

/// Anywhere; often near one of the ends, where most is decided.
fn place(content: &[u8], dice: &mut Dice) -> usize {
    let length = content.len() as u64;
    let near = length.min(64);
    (match dice.below(6) {
        0 => dice.below(near),
        1 => length - 1 - dice.below(near),
        _ => dice.below(length),
    }) as usize
}

fn range(content: &[u8], dice: &mut Dice) -> (usize, usize) {
    let start = place(content, dice);
    let longest = if dice.below(2) == 0 { 8 } else { RANGE_BYTES_MAX };
    let end = start + 1 + dice.below(longest) as usize;
    (start, end.min(content.len()))
}
