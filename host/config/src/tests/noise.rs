//! Configuration made by chance: nothing that can be written down panics, and what is read is read again.

use super::{HERE, same, toml};
use crate::*;

/// Pieces of configurations and raw bytes, in an order that the seed decides.
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }

    fn text(&mut self, pieces: &[&str]) -> Vec<u8> {
        let mut text = Vec::new();
        for _ in 0..self.next(40) {
            match self.next(4) {
                0 => text.push(self.next(256) as u8),
                1 => {
                    text.extend_from_slice(Directive::ALL[self.next(Directive::ALL.len())].name().as_bytes())
                }
                _ => text.extend_from_slice(pieces[self.next(pieces.len())].as_bytes()),
            }
        }
        text
    }
}

/// What noise is made of.
const PIECES: [&str; 38] = [
    " ",
    "\n",
    "\"",
    "'",
    "\\x4",
    "\\",
    "yes",
    "no",
    "1",
    "-1",
    "99999999999999999999",
    "5%",
    "1gb",
    "=",
    " = ",
    "[",
    "]",
    "policies",
    "policies.fsync",
    "[policies.fsync]\n",
    "component",
    "options = {",
    "}",
    ".wasm",
    "{title}",
    "\n#",
    "\0",
    "900 1",
    "replica 1 1 1",
    "0o7",
    "é",
    "include a",
    "--",
    "save",
    "save 900 1\n",
    "port 1\n",
    "port = 1\n",
    "a b\n",
];

#[test]
fn no_bytes_panic_and_what_is_read_survives_a_rewrite() {
    for seed in 1..1500_u64 {
        let mut noise = Noise(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let text = noise.text(&PIECES);
        let mut config = Config::default();
        if load_conf(&mut config, "f", &text, &mut |_| Ok(vec![])).is_ok() {
            check_rewrite(&text, &config, seed);
        }
        let mut config = Config::default();
        if load_toml(&mut config, "f", &text).is_ok() {
            let text = std::str::from_utf8(&text).unwrap();
            assert_eq!(rewrite_toml("f", text, &config).unwrap(), text, "seed {seed}");
        }
        let words: Vec<Vec<u8>> = (0..noise.next(6)).map(|_| noise.text(&PIECES)).collect();
        let _ = Invocation::parse(&words);
        Config::default().get(&words);
        for _ in 0..8 {
            let directive = Directive::ALL[noise.next(Directive::ALL.len())];
            let value = noise.text(&PIECES);
            if let Ok(change) = Config::default().prepare(&[(directive.name().as_bytes(), &value[..])], HERE)
            {
                let mut config = Config::default();
                config.commit(change);
                check_rewrite(b"", &config, seed);
                if let Ok(new) = rewrite_toml("f", "", &config) {
                    assert!(same(&toml(&new).unwrap(), &config), "seed {seed}: {new}");
                }
            }
        }
    }
}

/// Rewriting gives a file that reads as the same values, and is the same when rewritten again.
fn check_rewrite(text: &[u8], config: &Config, seed: u64) {
    let new = rewrite_conf(text, config, Rewritten::Changed);
    let mut again = Config::default();
    load_conf(&mut again, "f", &new, &mut |_| Ok(vec![]))
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    for directive in Directive::ALL {
        assert!(again.value(directive) == config.value(directive), "seed {seed}: {}", directive.name());
    }
}
