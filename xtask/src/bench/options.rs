//! The options of the bench, and what they are when left out.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

pub(super) const USAGE: &str = "\
usage: cargo xtask bench [OPTION...]

  --rounds N      repetitions, of which the median counts (5)
  --seconds S     measured time of one case in one round (3)
  --only TEXT     only cases whose name contains TEXT: GET, SET, 'pipeline 16', everysec, redis-benchmark, memory
  --server PATH   this server instead of building and running target/release/tenon
  --redis PATH    this judge instead of the redis-server on the PATH
  --undivided     lets the system place threads; else server and client have processors of their own, and all threads
                  of the server, those that sync files, too, share its part
  --quick         1 round of 1 second, a tenth of the keys: to see that it runs
  --commands      instead: processor time per request of commands of every type, pipeline 16: small values on keys
                  picked at random among many, large ones on one key
  --collections   instead: memory of small collections of every type
  --connections   instead: memory of idle connections, and what 2,000 new ones a second do to busy ones
  --eviction      instead: how many reads find their key under maxmemory, with a tenth of the keys fitting
  --scripts       instead: processor time per call of small scripts and functions, pipeline 16 and none
  --stall         instead: how long BGSAVE and BGREWRITEAOF stall clients, and the memory they take
  --saves N       with --stall: of each job in a round (3)
  --large         with --stall: one large value of every type, each written all the while
  --always        instead: appendfsync always: writes a second, writes per fsync, reads beside them
  --slow-disk     instead: what clients wait under everysec while each fsync takes five seconds
  --load          instead: how long a start takes that loads an RDB file, and an append-only file
  --replication   instead: what a replica costs its primary, and a full synchronization of many keys under writes
  --keys N        keys before a measurement (1000000; for memory, --load and full synchronizations 5000000; for
                  collections 1000000; with --commands: of small values, 100000)
  --members N     with --stall: members of a large value (2000000); with --commands: of large collections (100000)
  --rate N        with --stall and --replication: SETs per second meanwhile (40000)
";

/// What to run and how long.
pub(super) struct Options {
    pub(super) rounds: usize,
    /// Of each job in a round.
    pub(super) saves: usize,
    pub(super) seconds: f64,
    pub(super) only: String,
    pub(super) server: Option<PathBuf>,
    pub(super) redis: PathBuf,
    pub(super) stall: bool,
    pub(super) commands: bool,
    pub(super) collections: bool,
    pub(super) connections: bool,
    pub(super) eviction: bool,
    pub(super) always: bool,
    pub(super) load: bool,
    pub(super) slow_disk: bool,
    pub(super) large: bool,
    pub(super) undivided: bool,
    pub(super) replication: bool,
    pub(super) scripts: bool,
    pub(super) keys: u32,
    pub(super) memory_keys: u32,
    pub(super) members: u32,
    /// Keys of small values in the bench of commands.
    pub(super) small_keys: u32,
    /// Members of a large collection in the bench of commands.
    pub(super) large_members: u32,
    pub(super) rate: u32,
}

impl Options {
    /// `None` asks for the usage.
    pub(super) fn parse(words: &[&str]) -> Result<Option<Options>, String> {
        let mut options = Options {
            rounds: 5,
            saves: 3,
            seconds: 3.0,
            only: String::new(),
            server: None,
            redis: PathBuf::from("redis-server"),
            stall: false,
            commands: false,
            collections: false,
            connections: false,
            eviction: false,
            always: false,
            load: false,
            slow_disk: false,
            large: false,
            undivided: false,
            replication: false,
            scripts: false,
            keys: 1_000_000,
            memory_keys: 5_000_000,
            members: 2_000_000,
            small_keys: 100_000,
            large_members: 100_000,
            rate: 40_000,
        };
        if words.contains(&"--quick") {
            (options.rounds, options.saves, options.seconds) = (1, 1, 1.0);
            (options.keys, options.memory_keys, options.members) = (100_000, 500_000, 200_000);
            (options.small_keys, options.large_members) = (10_000, 10_000);
        }
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            match word {
                "--help" | "-h" => return Ok(None),
                "--quick" => {}
                "--stall" => options.stall = true,
                "--commands" => options.commands = true,
                "--collections" => options.collections = true,
                "--connections" => options.connections = true,
                "--eviction" => options.eviction = true,
                "--always" => options.always = true,
                "--slow-disk" => options.slow_disk = true,
                "--load" => options.load = true,
                "--large" => options.large = true,
                "--undivided" => options.undivided = true,
                "--replication" => options.replication = true,
                "--scripts" => options.scripts = true,
                "--rounds" => options.rounds = at_least(1, word, words.next())?,
                "--saves" => options.saves = at_least(1, word, words.next())?,
                "--seconds" => options.seconds = at_least(0.1, word, words.next())?,
                "--only" => options.only = (*words.next().ok_or(missing(word))?).to_owned(),
                "--server" => options.server = Some(PathBuf::from(words.next().ok_or(missing(word))?)),
                "--redis" => options.redis = PathBuf::from(words.next().ok_or(missing(word))?),
                "--keys" => {
                    options.keys = at_least(1, word, words.next())?;
                    (options.memory_keys, options.small_keys) = (options.keys, options.keys);
                }
                "--members" => {
                    options.members = at_least(1, word, words.next())?;
                    options.large_members = options.members;
                }
                "--rate" => options.rate = at_least(1000, word, words.next())?,
                other => return Err(format!("found option {other}; expected one of these\n\n{USAGE}")),
            }
        }
        Ok(Some(options))
    }

    /// Whether the case of this name is wanted.
    pub(super) fn wants(&self, name: &str) -> bool {
        name.to_lowercase().contains(&self.only.to_lowercase())
    }

    pub(super) fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.min(3600.0))
    }
}

fn at_least<T: FromStr + PartialOrd + std::fmt::Display>(
    least: T,
    option: &str,
    word: Option<&&str>,
) -> Result<T, String> {
    let word = word.ok_or(missing(option))?;
    let value = word.parse().ok().filter(|value| *value >= least);
    value.ok_or(format!("found {option} {word}; expected a number of at least {least}"))
}

fn missing(option: &str) -> String {
    format!("found {option} at the end; expected its value after it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_is_a_default_that_others_override() {
        let options = Options::parse(&["--rounds", "3", "--quick"]).expect("valid").expect("no help");
        assert_eq!((options.rounds, options.keys), (3, 100_000));
    }

    #[test]
    fn bad_options_are_refused() {
        for words in [&["--rounds"][..], &["--rounds", "0"], &["--seconds", "NaN"], &["--speed"]] {
            assert!(Options::parse(words).is_err(), "{words:?} passes");
        }
    }
}
