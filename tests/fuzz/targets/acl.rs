//! Users from hostile rules and ACL files. Whatever is accepted is described so that it can be read again, and means the
//! same then; whatever is refused changes nothing.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tenon_acl::{Access, Catalogue, Channels, Request, User, Users};
use tenon_commands::{Categories, Handler, Row, TABLES};
use tenon_fuzz::parts;
use tenon_resp::OwnedArgs;

const NAME: &[u8] = b"ann";

// Three parts: rules, one a line; the text of an ACL file; the words of a request, one a line. The last byte says whether
// channels are allowed at first, and what the request does with its words.
fuzz_target!(|input: &[u8]| {
    let Some((&selector, input)) = input.split_last() else { return };
    let parts = parts(input, 3);
    let lines = |part: usize| -> Vec<&[u8]> {
        parts.get(part).map_or(Vec::new(), |text| text.split(|&byte| byte == b'\n').collect())
    };
    let mut users = Users::new(catalogue());
    users.set_all_channels_at_first(selector & 1 == 1);
    let rules = lines(0);
    if let Err(error) = users.set_user(NAME, &rules) {
        assert!(!error.to_string().is_empty());
        assert!(users.find(NAME).is_none(), "a user made by rules that were refused");
    }
    for rule in rules {
        let before = users.file_text();
        if users.set_user(NAME, [rule]).is_err() {
            assert_eq!(users.file_text(), before, "a refused rule changed something");
        }
    }
    comes_back(&users, &lines(2), selector);
    let before = users.file_text();
    if users.load("users.acl", parts.get(1).copied().unwrap_or_default()).is_err() {
        assert_eq!(users.file_text(), before, "a refused file changed something");
    }
    comes_back(&users, &lines(2), selector);
});

/// Reads the users again from what is told of them, in both forms.
fn comes_back(users: &Users, request: &[&[u8]], selector: u8) {
    let text = users.file_text();
    let mut from_file = Users::new(catalogue());
    from_file
        .load("users.acl", &text)
        .unwrap_or_else(|error| panic!("what was saved does not load: {error}"));
    assert_eq!(from_file.file_text().escape_ascii().to_string(), text.escape_ascii().to_string(), "loaded");
    let mut from_words = Users::new(catalogue());
    for words in users.config_words() {
        let rules = [b"reset".to_vec()].into_iter().chain(words[1..].iter().cloned());
        from_words.set_user(&words[0], rules).unwrap_or_else(|error| panic!("refused again: {error}"));
    }
    assert_eq!(from_words.file_text().escape_ascii().to_string(), text.escape_ascii().to_string(), "told");
    for (name, user) in users.iter() {
        let again = &from_file[from_file.find(name).expect("it was saved")];
        same_answers(user, again, request, selector);
    }
}

fn same_answers(one: &User, other: &User, request: &[&[u8]], selector: u8) {
    let mut args = OwnedArgs::new();
    request.iter().for_each(|word| args.push(word));
    let args = args.as_args();
    let Some(command) = args.try_get(0).and_then(|name| catalogue().find(name)) else { return };
    let access = [Access::NONE, Access::READ, Access::WRITE, Access::BOTH][usize::from(selector >> 1 & 3)];
    let channels = Channels { first: 1, count: usize::from(selector >> 4), are_patterns: selector & 8 != 0 };
    let request = Request {
        command,
        is_free: false,
        args,
        keys: (1..args.len()).map(|at| (at, access)),
        channels: (selector & 128 != 0).then_some(channels),
    };
    let answer = one.check(&request);
    assert_eq!(answer, other.check(&request), "a user read again may do something else");
    assert!(!one.is_unrestricted() || answer.is_ok(), "something is denied to whom nothing is");
    assert_eq!(one.may_read_every_key(&request), other.may_read_every_key(&request));
}

/// The data commands, as a server knows them.
fn catalogue() -> Catalogue {
    static MADE: OnceLock<Catalogue> = OnceLock::new();
    MADE.get_or_init(made_catalogue).clone()
}

fn made_catalogue() -> Catalogue {
    fn add(catalogue: &mut Catalogue, row: &Row<Handler>, parent: Option<&str>) {
        let name = parent.map_or_else(|| row.name.to_owned(), |parent| format!("{parent}|{}", row.name));
        catalogue.add(&name, row.all_categories().0);
        row.subcommands.iter().for_each(|child| add(catalogue, child, Some(&name)));
    }
    let mut catalogue = Catalogue::new(Categories::NAMES.map(|(category, name)| (category.0, name)));
    TABLES.iter().flat_map(|rows| rows.iter()).for_each(|row| add(&mut catalogue, row, None));
    catalogue
}
