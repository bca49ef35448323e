//! What a load takes in memory, of logs that claim anything: a constant, and so many bytes for each byte that is there.
//! Measured is all that is allocated meanwhile, whether it is freed or not: no peak is higher.

use tikv_jemalloc_ctl::thread;

use super::*;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Of any log.
const CONSTANT_BYTES: u64 = 6 << 20;
/// For each byte of one.
const SHARE: u64 = 64;

const MUTATIONS: usize = 1_500;

/// Takes everything, and keeps nothing.
struct Nowhere;

impl LoadSink for Nowhere {
    fn rdb(&mut self, _file: &Arc<dyn DiskFile>) -> Result<BaseLoaded, String> {
        Err("no RDB file".to_owned())
    }

    fn command(&mut self, _args: Args<'_>) -> Result<(), String> {
        Ok(())
    }

    fn progress(&mut self, _loaded_bytes: u64, _total_bytes: u64) {}

    fn notice(&mut self, _line: LoadNotice) {}
}

/// All that the load of a log of two increments allocates.
fn cost(first: &[u8], second: &[u8], options: LoadOptions) -> u64 {
    let place = Place::of(&[first, second]);
    let counter = thread::allocatedp::read().expect("jemalloc counts");
    let before = counter.get();
    drop(load(&place.disk, &place.directory, None, options, &mut Nowhere));
    counter.get() - before
}

/// Changes a few bytes, and puts a number in that nothing follows.
fn damage(file: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..dice.below(4) {
        let at = dice.below(file.len() as u64) as usize;
        file[at] = if dice.below(2) == 0 { dice.roll() as u8 } else { b'9' };
    }
    let claims: [&[u8]; 6] = [
        b"$99999999999\r\n",
        b"*99999999999\r\n",
        b"$536870912\r\n",
        b"*2147483647\r\n$0\r\n\r\n",
        b"#TS:99999999999\r\n",
        b"*1\r\n$5\r\nMULTI\r\n",
    ];
    if dice.below(2) == 0 {
        let claim = claims[dice.below(6) as usize];
        // Most often where something begins.
        let starts: Vec<usize> = (0..file.len()).filter(|&at| matches!(file[at], b'*' | b'$')).collect();
        let at = starts[dice.below(starts.len() as u64) as usize];
        let replaced = if dice.below(2) == 0 { at } else { file.len().min(at + claim.len()) };
        drop(file.splice(at..replaced, claim.iter().copied()));
    }
    if dice.below(4) == 0 {
        file.truncate(1 + dice.below(file.len() as u64) as usize);
    }
}

fn logs() -> Vec<Vec<u8>> {
    let transaction: Vec<&str> =
        std::iter::once("MULTI").chain(std::iter::repeat_n("SET a b", 3_000)).chain(["EXEC"]).collect();
    let large = format!("SET large {}", "x".repeat(200_000));
    vec![
        [one(), two()].concat(),
        batch(100, 0, &transaction),
        commands(&transaction),
        batch(100, 0, &[&large, "SET a 1", &large]),
        commands(&[&large, "SET a 1"]),
        commands(&["MULTI"].repeat(2_000)),
        b"*1\r\n$0\r\n\r\n".repeat(20_000),
        [b"*20000\r\n".as_slice(), &b"$0\r\n\r\n".repeat(20_000)].concat(),
    ]
}

#[test]
fn a_damaged_log_takes_memory_by_what_is_there() {
    let mut dice = Dice::seeded(3_001);
    let logs = logs();
    for number in 0..MUTATIONS {
        let (mut first, mut second) =
            (logs[number % logs.len()].clone(), logs[dice.below(logs.len() as u64) as usize].clone());
        // The first eight are as they were written.
        if number >= logs.len() {
            damage(&mut first, &mut dice);
            damage(&mut second, &mut dice);
        }
        let options = LoadOptions {
            cut_torn_end: dice.below(2) == 0,
            damaged_tail_bytes_max: [0, u64::MAX][dice.below(2) as usize],
            checksum: dice.below(4) != 0,
        };
        let (cost, length) = (cost(&first, &second, options), (first.len() + second.len()) as u64);
        assert!(cost <= CONSTANT_BYTES + SHARE * length, "{cost} bytes for {length}, of log {number}");
    }
}
