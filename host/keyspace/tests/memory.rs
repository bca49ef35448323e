//! `used_memory` against the allocator's own figure.

mod common;

use common::{Counting, HELD};
use tenon_base::{Dice, UnixMillis};
use tenon_keyspace::{Expiry, Keyspace};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn used_memory_is_what_the_allocator_holds() {
    let mut dice = Dice::seeded(11);
    let mut keyspace = Keyspace::new(2, &mut dice);
    let value = vec![b'v'; 20_000];
    let before = HELD.get();
    let held = || HELD.get() - before;
    for round in 0..200_000u32 {
        let number = dice.below(30_000).to_le_bytes();
        let key = &number[..1 + dice.below(8) as usize];
        let bytes = if dice.below(50) == 0 { dice.below(20_000) } else { dice.below(100) } as usize;
        let db = keyspace.db_mut(dice.below(2) as usize);
        match dice.below(8) {
            0..=3 => drop(db.set_string(key, &value[..bytes], Expiry::Keep)),
            4 => drop(db.set_integer(key, i64::from(round), Expiry::At(UnixMillis(7)))),
            5 => {
                if let Some(mut text) = db.string_mut(key).expect("only strings") {
                    text.append(&value[..bytes.min(500)]);
                }
            }
            6 => drop(db.set_expiry(key, (round % 2 == 0).then_some(UnixMillis(9)))),
            _ => drop(db.delete(key)),
        }
        if round % 10_000 == 0 {
            assert_eq!(keyspace.used_memory(), held(), "round {round}");
        }
    }
    assert_eq!(keyspace.used_memory(), held());
    drop(keyspace.db_mut(0).clear());
    drop(keyspace.db_mut(1).clear());
    assert_eq!((keyspace.used_memory(), held()), (0, 0));
}
