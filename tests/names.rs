//! The names that dashboards and tools look for: every field of INFO and every directive of CONFIG GET that redis-server
//! shows is there, fields in the same order. What they say is tested beside what says it.
//! Always: an exception is listed with its reason, and an exception that is none is an error.

mod support;

use std::collections::BTreeMap;

use support::server::Server;

/// Directives that redis-server 7.0 tells and Tenon does not.
const CONFIG_EXCEPTIONS: [(&str, &str); 1] = [("aof-disable-auto-gc", "hidden since 7.2")];

#[test]
fn every_field_of_info_is_there_in_the_same_order() {
    let Some(redis) = Server::redis(&["--save", ""]) else { return };
    let tenon = Server::tenon(&["--save", ""]);
    let (theirs, ours) = (fields(&redis), fields(&tenon));
    for (section, names) in &theirs {
        let own = ours.get(section).unwrap_or_else(|| panic!("INFO has no section {section}"));
        let common: Vec<&String> = own.iter().filter(|name| names.contains(name)).collect();
        assert_eq!(common, names.iter().collect::<Vec<_>>(), "section {section}");
    }
}

#[test]
fn every_directive_is_told() {
    let Some(redis) = Server::redis(&["--save", ""]) else { return };
    let tenon = Server::tenon(&["--save", ""]);
    let (theirs, ours) = (directives(&redis), directives(&tenon));
    let is_excepted = |name: &str| CONFIG_EXCEPTIONS.iter().any(|(excepted, _)| name == *excepted);
    let missing: Vec<&String> =
        theirs.iter().filter(|name| !ours.contains(name) && !is_excepted(name)).collect();
    assert!(missing.is_empty(), "CONFIG GET does not tell {missing:?}");
    for (name, _) in CONFIG_EXCEPTIONS {
        assert!(theirs.iter().any(|known| known == name), "{name} is no exception");
        assert!(!ours.iter().any(|known| known == name), "{name} is told");
    }
}

/// The names of INFO's fields by section, after every kind of traffic that adds some.
fn fields(server: &Server) -> BTreeMap<String, Vec<String>> {
    let mut client = server.client();
    client.command(&["SET", "key", "value"]);
    let text = client.command(&["INFO", "everything"]).text();
    let mut sections: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut section = String::new();
    for line in text.lines().map(str::trim_end) {
        if let Some(title) = line.strip_prefix("# ") {
            title.clone_into(&mut section);
            sections.entry(section.clone()).or_default();
        } else if let Some((name, _)) = line.split_once(':') {
            // Which commands were called, and how long they took, is the traffic's own.
            if !name.starts_with("cmdstat_") && !name.starts_with("latency_percentiles_usec_") {
                sections.entry(section.clone()).or_default().push(name.to_owned());
            }
        }
    }
    sections
}

/// What CONFIG GET tells.
fn directives(server: &Server) -> Vec<String> {
    let reply = server.client().command(&["CONFIG", "GET", "*"]);
    reply.elements().iter().step_by(2).map(support::reply::Reply::text).collect()
}
