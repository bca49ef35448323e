//! Configurations from hostile bytes: files of both formats, command lines, and CONFIG SET. What is understood comes
//! back from what CONFIG REWRITE makes of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenon_config::{
    Config, Directive, Included, Invocation, Rewritten, Situation, load_conf, load_toml, rewrite_conf, rewrite_toml,
};
use tenon_fuzz::parts;

const HERE: Situation = Situation { is_loading: false, client_is_local: true };
/// What a file includes, if it includes anything: itself, from its start, up to here.
const INCLUDED_BYTES_MAX: usize = 256;

// Three parts: the text of a file, the arguments of a command line, and names and values for CONFIG SET; one a line. The
// last byte says what becomes of them.
fuzz_target!(|input: &[u8]| {
    let Some((selector, input)) = input.split_last() else { return };
    let parts = parts(input, 3);
    let lines = |part: usize| -> Vec<&[u8]> {
        parts.get(part).map_or(Vec::new(), |text| text.split(|&byte| byte == b'\n').collect())
    };
    let (text, arguments, settings) = (parts[0], lines(1), lines(2));
    let pairs: Vec<(&[u8], &[u8])> = settings.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    match selector % 4 {
        0 => conf(text, &pairs),
        1 => toml(text, &pairs),
        2 => command_line(&arguments),
        _ => fresh(&pairs),
    }
});

fn conf(text: &[u8], pairs: &[(&[u8], &[u8])]) {
    let mut includes = false;
    let mut include = |pattern: &[u8]| {
        includes = true;
        if pattern != b"itself" {
            return Err("no such file".to_owned());
        }
        let text = text[..text.len().min(INCLUDED_BYTES_MAX)].to_vec();
        Ok(vec![Included { name: "itself".to_owned(), text }])
    };
    let mut config = Config::default();
    let result = load_conf(&mut config, "redis.conf", text, &mut include);
    if let Err(error) = &result {
        assert!(!error.to_string().is_empty());
    }
    // A value rewritten in front of an include is the included file's again, as with Redis.
    if result.is_err() || config.finish().is_err() || includes {
        return;
    }
    let _ = config.notices();
    conf_comes_back(text, &config);
    if set(&mut config, pairs) {
        conf_comes_back(text, &config);
    }
}

fn toml(text: &[u8], pairs: &[(&[u8], &[u8])]) {
    let mut config = Config::default();
    if load_toml(&mut config, "tenon.toml", text).is_err() {
        return;
    }
    let text = std::str::from_utf8(text).expect("what is TOML is UTF-8");
    let same = rewrite_toml("tenon.toml", text, &config).expect("a configuration is rewritten");
    assert_eq!(text, same, "rewritten although nothing changed");
    if set(&mut config, pairs) {
        toml_comes_back(text, &config);
    }
}

fn command_line(arguments: &[&[u8]]) {
    let Ok(Invocation::Serve(arguments)) = Invocation::parse(arguments) else { return };
    let mut config = Config::default();
    if arguments.apply_options(&mut config).is_err() || config.finish().is_err() {
        return;
    }
    // Nobody can rewrite these into a file that did not have them.
    if config.renames().is_empty() {
        conf_comes_back(b"", &config);
    }
}

fn fresh(pairs: &[(&[u8], &[u8])]) {
    let mut config = Config::default();
    if set(&mut config, pairs) {
        conf_comes_back(b"", &config);
        toml_comes_back("", &config);
    }
}

/// Sets the pairs if there are any and they can be set: the undo undoes, and what CONFIG GET then says can be set again.
fn set(config: &mut Config, pairs: &[(&[u8], &[u8])]) -> bool {
    let change = match config.prepare(pairs, HERE) {
        Ok(change) => change,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let before = config.clone();
    let directives: Vec<Directive> = change.directives().collect();
    let preview = config.preview(&change);
    let undo = config.commit(change);
    assert_same(config, &preview, "previewed");
    config.commit(undo);
    assert_same(config, &before, "undone");
    let change = config.prepare(pairs, HERE).expect("what could be set can be set again");
    config.commit(change);
    for directive in directives {
        let printed = config.printed(directive);
        let again = config.prepare(&[(directive.name().as_bytes(), printed.as_slice())], HERE);
        let again = again.unwrap_or_else(|error| panic!("what CONFIG GET says cannot be set: {error}"));
        let value = config.preview(&again).printed(directive);
        assert_eq!(value, printed, "{} set to what CONFIG GET says", directive.name());
    }
    !pairs.is_empty()
}

fn conf_comes_back(old: &[u8], config: &Config) {
    let text = rewrite_conf(old, config, Rewritten::Changed);
    let mut again = Config::default();
    let loaded = load_conf(&mut again, "redis.conf", &text, &mut |_| Err("no such file".to_owned()));
    loaded.unwrap_or_else(|error| panic!("what was rewritten does not load: {error}"));
    again.finish().expect("what could be finished can be finished again");
    assert_same(config, &again, "rewritten and read again");
    assert_eq!(text, rewrite_conf(&text, &again, Rewritten::Changed), "rewritten twice");
}

fn toml_comes_back(old: &str, config: &Config) {
    let text = match rewrite_toml("tenon.toml", old, config) {
        Ok(text) => text,
        Err(error) => return assert!(error.reason.contains("UTF-8"), "not rewritten: {error}"),
    };
    let mut again = Config::default();
    let loaded = load_toml(&mut again, "tenon.toml", text.as_bytes());
    loaded.unwrap_or_else(|error| panic!("what was rewritten does not load: {error}\n{text}"));
    assert_same(config, &again, "rewritten and read again");
}

fn assert_same(one: &Config, other: &Config, when: &str) {
    for directive in Directive::ALL {
        let (left, right) = (one.printed(directive), other.printed(directive));
        let shown = || [&left, &right].map(|value| value.escape_ascii().to_string());
        assert!(left == right, "{} {when}: {:?}", directive.name(), shown());
    }
    assert_eq!(one.renames(), other.renames(), "{when}");
    assert!(one.users().eq(other.users()), "users {when}");
}
