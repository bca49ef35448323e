//! Calls by chance: a walk over a command's arguments gives one that is mostly right, and now and then one of its words is spoilt.
//! Always: the same seed gives the same calls, whatever the servers answer, and no call waits long or takes much memory.

use super::bounds;
use super::chance::Chance;
use super::companions;
use super::grammar::{Argument, Command, Kind};
use super::pair::Words;
use super::waiting;
use super::words::Dictionary;

/// Commands that fill keys, and those that empty them: without more of these than of others most keys would be missing.
const OFTEN: [(&str, usize); 19] = [
    ("set", 4),
    ("rpush", 5),
    ("lpush", 4),
    ("hset", 6),
    ("sadd", 6),
    ("zadd", 8),
    ("xadd", 10),
    ("geoadd", 6),
    ("pfadd", 4),
    ("setbit", 4),
    ("xgroup|create", 4),
    ("xreadgroup", 5),
    ("del", 3),
    ("append", 2),
    ("hmset", 2),
    ("mset", 2),
    ("zunionstore", 2),
    ("sunionstore", 2),
    ("zincrby", 2),
];
/// Families whose calls are made twice as often: their values have most to tell.
const FAVOURED: [&str; 4] = ["stream", "geo", "bitmap", "hyperloglog"];
/// Percentages of calls that another client waits beside, of those that are spoilt, and of optional arguments that are
/// there.
const WAITING: usize = 2;
const SPOILT: usize = 10;
const OPTIONAL: usize = 35;

/// One request, and which command it was made for.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// The command's name in the grammar.
    pub(super) name: String,
    pub(super) words: Words,
    /// Whether it means something only together with the call before it.
    pub(super) is_tied: bool,
    /// Whether another client sends it, and waits while the calls behind it run.
    pub(super) is_waiting: bool,
}

impl Call {
    fn companion(words: Words) -> Call {
        Call {
            name: String::from_utf8_lossy(&words[0]).to_lowercase(),
            words,
            is_tied: false,
            is_waiting: false,
        }
    }
}

/// How often a command is called, compared with one that is called once.
pub(super) fn weight(name: &str) -> usize {
    OFTEN.iter().find(|(often, _)| *often == name).map_or(1, |(_, weight)| *weight)
}

/// As [`weight`], and twice that for a favoured family.
fn lots_of(command: &Command) -> usize {
    let favour = if FAVOURED.contains(&command.group.as_str()) { 2 } else { 1 };
    weight(&command.name) * favour
}

/// Makes calls.
pub(super) struct Generator<'a> {
    commands: &'a [Command],
    /// Indices into `commands`, each as often as its weight.
    lots: Vec<usize>,
    chance: Chance,
    dictionary: Dictionary,
    is_in_transaction: bool,
}

impl<'a> Generator<'a> {
    pub(super) fn new(commands: &'a [Command], payloads: &[Vec<u8>], seed: u64) -> Generator<'a> {
        let lots = commands.iter().enumerate();
        let lots = lots.flat_map(|(index, command)| std::iter::repeat_n(index, lots_of(command))).collect();
        Generator {
            commands,
            lots,
            chance: Chance::new(seed),
            dictionary: Dictionary::new(payloads.to_vec()),
            is_in_transaction: false,
        }
    }

    /// Appends the next call, and what it needs behind it.
    pub(super) fn next(&mut self, calls: &mut Vec<Call>) {
        if self.chance.percent(WAITING) {
            let (name, words) = waiting::request(&mut self.chance);
            calls.push(Call { name, words, is_tied: false, is_waiting: true });
        }
        let commands = self.commands;
        let mut command = &commands[*self.chance.pick(&self.lots)];
        if self.is_in_transaction && self.chance.percent(15) {
            let named = |command: &&Command| command.name == "exec";
            command = commands.iter().find(named).unwrap_or(command);
        }
        match command.name.as_str() {
            "multi" => self.is_in_transaction = true,
            "exec" | "discard" => self.is_in_transaction = false,
            _ => {}
        }
        let mut words = self.words(command);
        if self.chance.percent(SPOILT) {
            self.spoil(&mut words, command);
        }
        if command.name == "xsetid" {
            self.dictionary.renew(&mut words, 2);
        }
        bounds::apply(command, &mut words, &mut self.chance);
        waiting::aim(&command.name, &mut words, &mut self.chance);
        let [before, behind] = companions::around(&command.name, &mut words);
        let first = calls.len();
        calls.extend(before.into_iter().map(Call::companion));
        calls.push(Call { name: command.name.clone(), words, is_tied: false, is_waiting: false });
        calls.extend(behind.into_iter().map(Call::companion));
        calls[first + 1..].iter_mut().for_each(|call| call.is_tied = true);
    }

    fn words(&mut self, command: &Command) -> Words {
        let mut words: Words =
            command.name.to_uppercase().split('|').map(|word| word.as_bytes().to_vec()).collect();
        if self.chance.percent(3) {
            words.iter_mut().for_each(|word| word.make_ascii_lowercase());
        }
        let mut walk = Walk { generator: self, command, words, count_at: None };
        walk.arguments(&command.arguments);
        walk.words
    }

    /// One mistake.
    fn spoil(&mut self, words: &mut Words, command: &Command) {
        let at = self.chance.below(words.len());
        let behind_name = 1 + command.name.matches('|').count();
        match self.chance.below(8) {
            0 | 1 if at >= behind_name => words[at] = self.dictionary.hostile(&mut self.chance),
            2 if at >= behind_name => {
                words.remove(at);
            }
            3 => words.push(self.dictionary.hostile(&mut self.chance)),
            4 if at >= behind_name => words.insert(at, words[at].clone()),
            5 if at >= behind_name => {
                let other = behind_name + self.chance.below(words.len() - behind_name);
                words.swap(at, other);
            }
            6 => {
                let mut tokens = Vec::new();
                collect_tokens(&command.arguments, &mut tokens);
                if !tokens.is_empty() {
                    words.push(self.chance.pick(&tokens).as_bytes().to_vec());
                }
            }
            _ => words.truncate(at.max(behind_name)),
        }
    }
}

fn collect_tokens<'a>(arguments: &'a [Argument], tokens: &mut Vec<&'a str>) {
    for argument in arguments {
        tokens.extend(argument.token.as_deref());
        collect_tokens(&argument.parts, tokens);
    }
}

/// One walk over the arguments of a command.
struct Walk<'a, 'b> {
    generator: &'b mut Generator<'a>,
    command: &'b Command,
    words: Words,
    /// Where the number of keys stands that are still to come.
    count_at: Option<usize>,
}

impl Walk<'_, '_> {
    fn arguments(&mut self, arguments: &[Argument]) {
        for argument in arguments {
            if !argument.is_optional || self.generator.chance.percent(OPTIONAL) {
                self.argument(argument);
            }
        }
    }

    fn argument(&mut self, argument: &Argument) {
        let times = if argument.is_multiple { self.times(argument) } else { 1 };
        let before = self.words.len();
        for turn in 0..times {
            if let Some(token) = argument.token.as_ref().filter(|_| turn == 0 || argument.repeats_token) {
                self.token(token);
            }
            self.content(argument);
        }
        let is_keys = argument.kind == Kind::Key && argument.is_multiple;
        if let Some(at) = self.count_at.filter(|_| is_keys) {
            self.count_at = None;
            let count = self.words.len() - before;
            let wrong = self.generator.chance.percent(3);
            let count = if wrong { self.generator.chance.below(5) } else { count };
            self.words[at] = count.to_string().into_bytes();
        }
    }

    fn times(&mut self, argument: &Argument) -> usize {
        if argument.kind == Kind::Key || argument.repeats_token {
            return 1 + self.generator.chance.below(3);
        }
        match self.generator.chance.below(100) {
            0..=49 => 1,
            50..=89 => 2 + self.generator.chance.below(3),
            90..=98 => 5 + self.generator.chance.below(16),
            _ => 140,
        }
    }

    fn token(&mut self, token: &str) {
        let mut word = token.as_bytes().to_vec();
        if self.generator.chance.percent(5) {
            word.make_ascii_lowercase();
        }
        self.words.push(word);
    }

    fn content(&mut self, argument: &Argument) {
        match argument.kind {
            // Its token, which stands there already, is all of it.
            Kind::PureToken => {}
            Kind::OneOf => {
                if !argument.parts.is_empty() {
                    let part = self.generator.chance.below(argument.parts.len());
                    self.argument(&argument.parts[part]);
                }
            }
            Kind::Block if argument.name == "streams" => self.streams(argument),
            Kind::Block => self.arguments(&argument.parts),
            Kind::Integer if argument.name == "numkeys" => {
                self.count_at = Some(self.words.len());
                self.words.push(b"1".to_vec());
            }
            _ => {
                let generator = &mut *self.generator;
                let word = generator.dictionary.value(&mut generator.chance, self.command, argument);
                self.words.push(word);
            }
        }
    }

    /// As many ids as keys.
    fn streams(&mut self, argument: &Argument) {
        let count = 1 + self.generator.chance.below(2);
        for part in &argument.parts {
            (0..count).for_each(|_| self.content(part));
        }
    }
}
