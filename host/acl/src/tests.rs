//! The crate as its users see it: rules, what they allow, and what is told of them.

use tenon_resp::OwnedArgs;

use super::*;

const READ: u32 = 1;
const WRITE: u32 = 2;
const SLOW: u32 = 4;

fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::new([(READ, "read"), (WRITE, "write"), (SLOW, "slow")]);
    for (name, categories) in [
        ("get", READ),
        ("set", WRITE),
        ("copy", WRITE),
        ("select", 0),
        ("config", SLOW),
        ("config|get", SLOW),
        ("config|set", SLOW),
        ("publish", 0),
        ("psubscribe", 0),
    ] {
        catalogue.add(name, categories);
    }
    catalogue
}

fn users() -> Users {
    Users::new(catalogue())
}

fn set(users: &mut Users, rules: &str) -> Result<Change, String> {
    users.set_user(b"ann", rules.split_ascii_whitespace()).map_err(|error| error.to_string())
}

fn shown(users: &Users) -> String {
    let words = users[users.find(b"ann").expect("ann is there")].describe();
    String::from_utf8(words.join(&b' ')).expect("rules in ASCII")
}

/// Runs a request of ann's; its keys are the words with `r:`, `w:` or `rw:` in front.
fn check(users: &Users, request: &str) -> Result<(), Denied> {
    let user = &users[users.find(b"ann").expect("ann is there")];
    let words: Vec<&str> = request.split(' ').collect();
    let mut args = OwnedArgs::new();
    let mut keys = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let (access, word) = match word.split_once(':') {
            Some(("r", word)) => (Some(Access::READ), word),
            Some(("w", word)) => (Some(Access::WRITE), word),
            Some(("rw", word)) => (Some(Access::BOTH), word),
            Some(("k", word)) => (Some(Access::NONE), word),
            _ => (None, *word),
        };
        keys.extend(access.map(|access| (at, access)));
        args.push(word.as_bytes());
    }
    let full = words.get(1).map(|word| format!("{}|{word}", words[0])).unwrap_or_default();
    let catalogue = catalogue();
    let command = catalogue.find(full.as_bytes()).or_else(|| catalogue.find(words[0].as_bytes()));
    let channels = match words[0] {
        "publish" => Some(Channels { first: 1, count: 1, are_patterns: false }),
        "psubscribe" => Some(Channels { first: 1, count: usize::MAX, are_patterns: true }),
        _ => None,
    };
    user.check(&Request {
        command: command.expect("a command of the catalogue"),
        is_free: false,
        args: args.as_args(),
        keys: keys.iter().copied(),
        channels,
    })
}

#[test]
fn a_new_user_may_nothing() {
    let mut users = users();
    assert_eq!(set(&mut users, ""), Ok(Change::default()));
    assert_eq!(shown(&users), "off sanitize-payload resetchannels -@all");
    assert_eq!(check(&users, "get r:a"), Err(Denied::Command));
    assert!(users.log_in(b"ann", b"").is_none());
    assert!(users.log_in(b"default", b"whatever").is_some());
    assert!(users.is_open());
    let default = String::from_utf8(users.lines().next().unwrap()).unwrap();
    assert_eq!(default, "user ann off sanitize-payload resetchannels -@all");
    assert_eq!(
        users.file_text(),
        b"user ann off sanitize-payload resetchannels -@all\nuser default on nopass sanitize-payload ~* &* +@all\n"
    );
}

#[test]
fn commands_are_allowed_one_by_one_and_by_categories() {
    for (rules, described, allowed) in [
        ("+get", "-@all +get", "get"),
        ("+@all", "+@all", "get set copy select config|get config|set"),
        ("+@all -@slow", "+@all -@slow", "get set copy select"),
        ("+@READ +@write -Copy", "-@all +@read +@write -copy", "get set"),
        ("+config|get", "-@all +config|get", "config|get"),
        ("+config|get +config", "-@all +config", "config|get config|set"),
        ("+config -config|set +config|set -config|set", "-@all +config -config|set", "config|get"),
        ("+config +config|get -config|set +config", "-@all +config", "config|get config|set"),
        ("+@all +get", "+@all +get", "get set copy select config|get config|set"),
        ("-@slow", "-@all -@slow", ""),
        ("+get -set +set -get", "-@all +set -get", "set"),
        ("+select|0 +select|0 +SELECT|A", "-@all +select|0 +select|a", ""),
        ("+select|0 +select", "-@all +select", "select"),
        ("+select|0 -select", "-@all -select", ""),
        ("nocommands allcommands", "+@all", "get set copy select config|get config|set"),
    ] {
        let mut users = users();
        set(&mut users, rules).unwrap();
        assert_eq!(shown(&users), format!("off sanitize-payload resetchannels {described}"), "{rules}");
        for command in ["get", "set", "copy", "select", "config|get", "config|set"] {
            let is_allowed = check(&users, &command.replace('|', " ")).is_ok();
            assert_eq!(is_allowed, allowed.split(' ').any(|name| name == command), "{command} after {rules}");
        }
    }
}

#[test]
fn a_command_may_be_allowed_for_one_first_word() {
    let mut users = users();
    set(&mut users, "+select|0 +select|1").unwrap();
    assert_eq!(check(&users, "select 0"), Ok(()));
    assert_eq!(check(&users, "select 1"), Ok(()));
    assert_eq!(check(&users, "select 2"), Err(Denied::Command));
    assert_eq!(check(&users, "select"), Err(Denied::Command));
}

#[test]
fn keys_are_allowed_by_what_is_done_with_them() {
    let mut users = users();
    set(&mut users, "+@all %R~read* %W~write* %rw~both* ~any?").unwrap();
    for (request, result) in [
        ("get r:read1", Ok(())),
        ("get r:write1", Err(Denied::Key(1))),
        ("set w:write1 v", Ok(())),
        ("set rw:write1 v", Err(Denied::Key(1))),
        ("set rw:both v", Ok(())),
        ("copy r:read w:write", Ok(())),
        ("copy r:read w:read", Err(Denied::Key(2))),
        ("get r:any", Err(Denied::Key(1))),
        ("get r:any1", Ok(())),
        ("get k:read", Ok(())),
        ("get k:write", Ok(())),
        ("get k:other", Err(Denied::Key(1))),
    ] {
        assert_eq!(check(&users, request), result, "{request}");
    }
    assert!(shown(&users).contains(" %R~read* %W~write* ~both* ~any? "), "{}", shown(&users));
    set(&mut users, "resetkeys %R~a %W~a %W~a").unwrap();
    assert!(shown(&users).contains(" ~a "), "{}", shown(&users));
    set(&mut users, "resetkeys %RW~* ~b").unwrap();
    assert!(shown(&users).contains(" %RW~* ~b "), "{}", shown(&users));
    assert_eq!(check(&users, "get rw:anything"), Ok(()));
}

#[test]
fn channels_match_patterns_and_patterns_only_themselves() {
    let mut users = users();
    set(&mut users, "+@all &news:* &one").unwrap();
    assert_eq!(check(&users, "publish news:1 x"), Ok(()));
    assert_eq!(check(&users, "publish two x"), Err(Denied::Channel(1)));
    assert_eq!(check(&users, "psubscribe news:* one"), Ok(()));
    assert_eq!(check(&users, "psubscribe news:* news:1"), Err(Denied::Channel(2)));
    let ann = users.find(b"ann").unwrap();
    assert!(users[ann].allows_channel(b"news:7", false) && !users[ann].allows_channel(b"news:7", true));
    assert_eq!(set(&mut users, "&more").unwrap().lost_channels, []);
    assert_eq!(set(&mut users, "resetchannels &one").unwrap().lost_channels, [ann]);
    assert_eq!(set(&mut users, "allchannels").unwrap().lost_channels, []);
    assert_eq!(set(&mut users, "resetchannels &one").unwrap().lost_channels, [ann]);
}

#[test]
fn selectors_do_not_add_up() {
    let mut users = users();
    set(&mut users, "(+get %R~a*) ( +set ~b* ) (+copy ~c +get )").unwrap();
    assert_eq!(
        shown(&users),
        "off sanitize-payload resetchannels -@all (%R~a* resetchannels -@all +get) \
         (~b* resetchannels -@all +set) (~c resetchannels -@all +copy +get)"
    );
    assert_eq!(check(&users, "get r:a1"), Ok(()));
    assert_eq!(check(&users, "set w:b1 v"), Ok(()));
    assert_eq!(check(&users, "set w:a1 v"), Err(Denied::Key(1)));
    assert_eq!(check(&users, "get r:x"), Err(Denied::Key(1)));
    assert_eq!(check(&users, "select 1"), Err(Denied::Command));
    // The word furthest behind is told.
    set(&mut users, "clearselectors +copy ~a (+copy ~a ~b)").unwrap();
    assert_eq!(check(&users, "copy r:b w:c"), Err(Denied::Key(2)));
    set(&mut users, "reset").unwrap();
    assert_eq!(shown(&users), "off sanitize-payload resetchannels -@all");
}

#[test]
fn only_the_hash_of_a_password_is_kept() {
    let mut users = users();
    set(&mut users, "on >one >two >one").unwrap();
    let hash = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
    assert!(shown(&users).starts_with(&format!("on sanitize-payload #{hash} #")), "{}", shown(&users));
    assert!(!shown(&users).contains("one") && !format!("{users:?}").contains("7692c3"));
    assert_eq!(users.log_in(b"ann", b"two"), users.find(b"ann"));
    assert_eq!(users.log_in(b"ann", b"three"), None);
    assert_eq!(users.log_in(b"bob", b"two"), None);
    set(&mut users, &format!("<two !{hash} #{hash}")).unwrap();
    assert!(users.log_in(b"ann", b"one").is_some() && users.log_in(b"ann", b"two").is_none());
    set(&mut users, "nopass").unwrap();
    assert!(users.log_in(b"ann", b"anything").is_some());
    set(&mut users, "off").unwrap();
    assert!(users.log_in(b"ann", b"anything").is_none());
    set(&mut users, "on resetpass").unwrap();
    assert!(users.log_in(b"ann", b"").is_none());
    users.set_default_password(Some(b"a b\0"));
    assert!(!users.is_open() && users.log_in(b"default", b"a b\0").is_some());
    users.set_default_password(None);
    assert!(users.is_open());
}

#[test]
fn bad_rules_change_nothing_and_say_why() {
    let syntax = "Syntax error";
    let unknown = "Unknown command or category name in ACL";
    for (rules, culprit, reason) in [
        ("on +nope", "+nope", unknown),
        ("on +@nope", "+@nope", unknown),
        ("on +get|a|b", "+get|a|b", unknown),
        ("on -get|a", "-get|a", unknown),
        ("on +config|nope", "+config|nope", unknown),
        ("on -", "-", unknown),
        ("on +select|", "+select|", syntax),
        ("on +config|get|x", "+config|get|x", "Allowing first-arg of a subcommand is not supported"),
        ("on %X~a", "%X~a", syntax),
        ("on %~a", "%~a", syntax),
        ("on %RR~a", "%RR~a", syntax),
        ("on %R", "%R", syntax),
        ("on what", "what", syntax),
        ("on (what)", "(what)", syntax),
        ("on )", ")", syntax),
        ("on (\"a)", "(\"a)", syntax),
        (
            "on #123",
            "#123",
            "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters",
        ),
        ("on <pass", "<pass", "The password you are trying to remove from the user does not exist"),
    ] {
        let mut users = users();
        let error = set(&mut users, rules).unwrap_err();
        assert_eq!(error, format!("Error in ACL SETUSER modifier '{culprit}': {reason}"));
        assert!(users.find(b"ann").is_none(), "{rules}");
    }
    let mut users = users();
    assert!(set(&mut users, "~* ~a").unwrap_err().contains("Try 'resetkeys'"));
    assert!(set(&mut users, "(&* &a)").unwrap_err().contains("Try 'resetchannels'"));
    assert_eq!(
        set(&mut users, "on (+get (+set").unwrap_err(),
        "Unmatched parenthesis in acl selector starting at '(+get'."
    );
    let error = users.set_user(b"a\tb", [b"on"]).unwrap_err();
    assert_eq!(error.to_string(), "Usernames can't contain spaces or null characters");
    assert!(users.set_user(b"x", [b"~a b".as_slice()]).is_err());
    assert!(users.set_user(b"x", [b"+select|a b".as_slice()]).is_err());
}

#[test]
fn what_is_described_makes_the_same_user() {
    for rules in [
        vec!["on", ">a", "~a)", "&b\"'", "+get", "-@slow"],
        vec!["(~a\\) +get)", "(\"~x)\" \"&q\\\"'\" +select|0)", "()"],
        vec!["nopass", "allkeys", "allchannels", "+@all", "-config|get", "skip-sanitize-payload"],
        vec!["%RW~*", "%R~(", "~)", "(%W~\\x +@all)"],
    ] {
        let mut users = users();
        users.set_user(b"ann", &rules).unwrap();
        users.set_user(b"", &rules).unwrap();
        let text = users.file_text();
        let mut again = Users::new(catalogue());
        again.load("f", &text).unwrap();
        assert_eq!(again.file_text().escape_ascii().to_string(), text.escape_ascii().to_string());
        let mut third = Users::new(catalogue());
        for words in users.config_words() {
            let name = words[0].clone();
            third.set_user(&name, [b"reset".to_vec()].iter().chain(&words[1..])).unwrap();
        }
        assert_eq!(third.file_text(), text, "{rules:?}");
    }
}

#[test]
fn a_file_replaces_all_users_or_none() {
    let mut users = users();
    set(&mut users, "on nopass").unwrap();
    let ann = users.find(b"ann").unwrap();
    let bad = b"user bob +nope (+get\n\n user bob on\nuser bob off\nsomething\nuser cid +nope what >x ~* ~a\nuser d\ra on";
    let error = users.load("f.acl", bad).unwrap_err();
    assert_eq!(
        error,
        "f.acl:1: Unmatched parenthesis in selector definition. WARNING: Duplicate user 'bob' found on line 3. \
         WARNING: Duplicate user 'bob' found on line 4. f.acl:5 should start with user keyword followed by the \
         username. f.acl:6: Error in applying operation '+nope': Unknown command or category name in ACL. f.acl:6: \
         Syntax error. 'f.acl:7: username 'd\ra' contains invalid characters. WARNING: ACL errors detected, no \
         change to the previously active ACL rules was performed"
    );
    assert!(users.find(b"ann").is_some() && users.find(b"cid").is_none());
    let change =
        users.load("f.acl", b"user default on >x ~* +@all\r\n\nuser bob on  (+get  ~a)  \n").unwrap();
    assert_eq!(change, Change { removed: vec![ann], lost_channels: vec![UserId::DEFAULT] });
    assert!(users.find(b"ann").is_none() && users.find(b"bob").is_some() && !users.is_open());
    users.load("f.acl", b"").unwrap();
    assert!(users.is_open());
}

#[test]
fn new_users_may_begin_with_all_channels() {
    let mut users = users();
    users.set_all_channels_at_first(true);
    set(&mut users, "()").unwrap();
    assert_eq!(shown(&users), "off sanitize-payload &* -@all (&* -@all)");
    users.set_all_channels_at_first(false);
    set(&mut users, "on").unwrap();
    assert_eq!(shown(&users), "on sanitize-payload &* -@all (&* -@all)");
    let ann = users.find(b"ann");
    assert_eq!(users.remove(b"ann"), ann);
    assert_eq!(users.find(b"ann"), None);
    // The number is used again.
    users.set_user(b"bob", ["on"]).unwrap();
    assert_eq!(users.find(b"bob"), ann);
}
