//! From words to a value, by a row's kind. The reasons it gives are Redis's own texts, which clients and tests look for.
//! Knows neither file nor client: whoever asks says where the words stood.

use crate::choices::{Named, list};
use crate::directive::{Kind, Row, TextRule};
use crate::number::{parse_integer, parse_memory, parse_octal};
use crate::policy::PolicySelection;
use crate::special::{Address, KeyspaceEvents, OutputLimits, SavePoint};
use crate::value::Value;

const WRONG_COUNT: &str = "wrong number of arguments";
const HOST_NAME_BYTES_MAX: usize = 255;

/// The value those words give. `current` is what holds now: output buffer limits keep the classes not named.
pub(crate) fn parse(row: &Row, words: &[&[u8]], current: Option<&Value>) -> Result<Value, String> {
    if row.kind.takes_many() {
        return parse_many(row.kind, words, current);
    }
    let [word] = words else { return Err(WRONG_COUNT.to_owned()) };
    parse_one(row.kind, word)
}

/// What the kind accepts, for a person.
pub(crate) fn expectation(kind: Kind) -> String {
    match kind {
        Kind::Bool => "yes or no".to_owned(),
        Kind::Integer { min, max } => format!("a whole number from {min} to {max}"),
        Kind::Rate { .. } => format!("a whole number from 0 to {}", i32::MAX),
        Kind::Memory { min, max } => {
            format!("bytes from {min} to {max}, with or without a unit (kb, mb, gb, k, m, g)")
        }
        Kind::MemoryOrPercent { percent_max } => {
            format!("bytes with or without a unit, or 0% to {percent_max}%")
        }
        Kind::Octal { max } => format!("an octal number from 0 to {max:o}"),
        Kind::Choice(names) => format!("one of {}", list(names)),
        Kind::Choices(names) => format!("some of {}", list(names)),
        Kind::Text(_) | Kind::OptionalText(_) => "one text, in quotes if it contains blanks".to_owned(),
        Kind::Words { max } => format!("at most {max} addresses"),
        Kind::SavePoints => "pairs of seconds and changes, such as 900 1, or \"\"".to_owned(),
        Kind::OutputLimits => "class (normal, replica or pubsub), hard limit, soft limit, seconds".to_owned(),
        Kind::OomScores => "three whole numbers from -2000 to 2000".to_owned(),
        Kind::Events => "letters of Ag$lshzxeKEtmdn".to_owned(),
        Kind::Percentiles => "numbers from 0 to 100".to_owned(),
        Kind::Replica => "host and port, or no one".to_owned(),
        Kind::Policy => "builtin or FILE.wasm, then sha256:HEX and key=value as wanted".to_owned(),
    }
}

fn parse_one(kind: Kind, word: &[u8]) -> Result<Value, String> {
    match kind {
        Kind::Bool if word.eq_ignore_ascii_case(b"yes") => Ok(Value::Bool(true)),
        Kind::Bool if word.eq_ignore_ascii_case(b"no") => Ok(Value::Bool(false)),
        Kind::Bool => Err("argument must be 'yes' or 'no'".to_owned()),
        Kind::Integer { min, max } => integer(word, min, max).map(Value::Integer),
        Kind::Rate { min, max } => Ok(Value::Integer(integer(word, 0, i32::MAX.into())?.clamp(min, max))),
        Kind::Memory { min, max } => {
            let bytes = parse_memory(word).ok_or("argument must be a memory value")?;
            within(bytes, min, max)?;
            Ok(Value::Memory(bytes))
        }
        Kind::MemoryOrPercent { percent_max } => memory_or_percent(word, percent_max),
        Kind::Octal { max } => {
            let number = parse_octal(word).ok_or("argument couldn't be parsed as an octal number")?;
            if number > max.into() {
                return Err(format!("argument must be between 0 and {max:o} inclusive"));
            }
            Ok(Value::Integer(number))
        }
        Kind::Choice(names) => code(names, word).map(Value::Code).ok_or_else(|| no_choice(names)),
        Kind::Text(rule) | Kind::OptionalText(rule) => {
            check_text(rule, word)?;
            Ok(Value::Text(word.into()))
        }
        Kind::Events => KeyspaceEvents::parse(word)
            .map(Value::Events)
            .ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_owned()),
        _ => unreachable!("the kinds of several words are parsed by parse_many"),
    }
}

fn parse_many(kind: Kind, words: &[&[u8]], current: Option<&Value>) -> Result<Value, String> {
    let words =
        if words == [b""] && !matches!(kind, Kind::Choices(_) | Kind::OutputLimits) { &[] } else { words };
    match kind {
        Kind::Choices(names) => flags(names, words).map(Value::Code),
        Kind::Words { max } if words.len() > max => Err("Too many bind addresses specified.".to_owned()),
        Kind::Words { .. } => Ok(Value::Words(words.iter().map(|word| word.to_vec()).collect())),
        Kind::SavePoints => {
            SavePoint::parse(words).map(Value::SavePoints).ok_or("Invalid save parameters".to_owned())
        }
        Kind::OutputLimits => {
            let unlimited = crate::special::OutputLimit { hard_bytes: 0, soft_bytes: 0, soft_seconds: 0 };
            let before = match current {
                Some(Value::OutputLimits(limits)) => *limits,
                _ => OutputLimits { normal: unlimited, replica: unlimited, pubsub: unlimited },
            };
            Ok(Value::OutputLimits(before.amended(words)?))
        }
        Kind::OomScores => oom_scores(words).map(Value::OomScores),
        Kind::Percentiles => {
            words.iter().map(|word| percentile(word)).collect::<Result<_, _>>().map(Value::Percentiles)
        }
        Kind::Replica => Ok(Value::Replica(Address::parse(words)?)),
        Kind::Policy => PolicySelection::parse(words).map(Value::Policy),
        _ => unreachable!("the kinds of one word are parsed by parse_one"),
    }
}

fn integer(word: &[u8], min: i64, max: i64) -> Result<i64, String> {
    let number = parse_integer(word).ok_or("argument couldn't be parsed into an integer")?;
    within(number, min, max)?;
    Ok(number)
}

fn within<N: PartialOrd + std::fmt::Display>(number: N, min: N, max: N) -> Result<(), String> {
    if min <= number && number <= max {
        Ok(())
    } else {
        Err(format!("argument must be between {min} and {max} inclusive"))
    }
}

fn memory_or_percent(word: &[u8], percent_max: u8) -> Result<Value, String> {
    let too_much = || Err(format!("percentage argument must be less or equal to {percent_max}"));
    match parse_memory(word) {
        Some(bytes) if i64::try_from(bytes).is_ok() => return Ok(Value::Memory(bytes)),
        // Redis keeps a percentage as a negative number, so this is one too many for it as well.
        Some(_) => return too_much(),
        None => {}
    }
    let percent = word.strip_suffix(b"%").and_then(parse_integer).filter(|percent| *percent >= 0);
    match percent.ok_or("argument must be a memory or percent value")? {
        0 => Ok(Value::Memory(0)),
        percent => match u8::try_from(percent) {
            Ok(percent) if percent <= percent_max => Ok(Value::Percent(percent)),
            _ => too_much(),
        },
    }
}

fn code(names: &[Named], word: &[u8]) -> Option<u8> {
    names.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word)).map(|(_, code)| *code)
}

fn no_choice(names: &[Named]) -> String {
    format!("argument(s) must be one of the following: {}", list(names))
}

/// The bits of some names. Only the flags of a shutdown are such a list, hence the one combination refused.
fn flags(names: &[Named], words: &[&[u8]]) -> Result<u8, String> {
    if words.is_empty() {
        return Err(no_choice(names));
    }
    let mut bits = 0;
    for word in words {
        bits |= code(names, word).ok_or_else(|| no_choice(names))?;
    }
    let mode = crate::choices::ShutdownMode::of(bits);
    if mode.save && mode.no_save {
        return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".to_owned());
    }
    Ok(bits)
}

fn oom_scores(words: &[&[u8]]) -> Result<[i16; 3], String> {
    let words: &[&[u8]; 3] = words.try_into().map_err(|_| WRONG_COUNT)?;
    let mut scores = [0; 3];
    for (score, word) in scores.iter_mut().zip(words) {
        *score = parse_integer(word)
            .and_then(|number| i16::try_from(number).ok())
            .filter(|number| (-2000..=2000).contains(number))
            .ok_or("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")?;
    }
    Ok(scores)
}

fn percentile(word: &[u8]) -> Result<f64, String> {
    let number = std::str::from_utf8(word)
        .ok()
        .and_then(|text| text.parse::<f64>().ok())
        .filter(|number| !number.is_nan());
    let number = number.ok_or("Invalid latency-tracking-info-percentiles parameters")?;
    if !(0.0..=100.0).contains(&number) {
        return Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".to_owned());
    }
    Ok(number)
}

fn check_text(rule: TextRule, text: &[u8]) -> Result<(), &'static str> {
    let is_path = text.contains(&b'/') || text.contains(&b'\\');
    match rule {
        TextRule::Directory if text.is_empty() => Err("No such file or directory"),
        TextRule::FileName if is_path => Err("dbfilename can't be a path, just a filename"),
        TextRule::OwnFileName if text.is_empty() => Err("appendfilename can't be empty"),
        TextRule::OwnFileName if is_path => Err("appendfilename can't be a path, just a filename"),
        TextRule::OwnDirectoryName if text.is_empty() => Err("appenddirname can't be empty"),
        TextRule::OwnDirectoryName if is_path => Err("appenddirname can't be a path, just a dirname"),
        TextRule::HostName if text.len() > HOST_NAME_BYTES_MAX => {
            Err("Hostnames must be less than 256 characters")
        }
        TextRule::HostName
            if !text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(byte)) =>
        {
            Err("Hostnames may only contain alphanumeric characters, hyphens or dots")
        }
        TextRule::NodeName if text.iter().any(|byte| b"!#$%&()*+:;<>?@[]^{|}~".contains(byte)) => {
            Err("Announced human node name contained invalid character")
        }
        TextRule::Title if !is_title(text) => Err("template format is invalid or contains unknown variables"),
        _ => Ok(()),
    }
}

/// Whether braces are balanced, their names are known, and something besides blanks is left. `{{` is a brace.
fn is_title(template: &[u8]) -> bool {
    const VARIABLES: [&[u8]; 7] =
        [b"title", b"listen-addr", b"server-mode", b"port", b"tls-port", b"unixsocket", b"config-file"];
    let mut rest = template;
    let mut shows = false;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'{' {
            shows |= byte != b' ';
            continue;
        }
        if let Some(after) = rest.strip_prefix(b"{") {
            (rest, shows) = (after, true);
            continue;
        }
        let Some(end) = rest.iter().position(|byte| *byte == b'}') else { return false };
        if !VARIABLES.contains(&&rest[..end]) {
            return false;
        }
        // These may turn out empty; a title needs something that does not.
        shows |= !matches!(&rest[..end], b"title" | b"server-mode" | b"unixsocket");
        rest = &rest[end + 1..];
    }
    shows
}
