//! Which ciphers are used: `tls-ciphers` in the notation of OpenSSL's lists, `tls-ciphersuites` for TLS 1.3.
//! What is not forward secret or not authenticated encryption does not exist here, whatever a list names.
//! Always: the result has a suite for each protocol that is on, or is an error that says what there is.

use rustls::SupportedCipherSuite;
use rustls::SupportedProtocolVersion;
use rustls::crypto::ring::cipher_suite::*;
use rustls::version::{TLS12, TLS13};

/// A suite of TLS 1.2: its name, and the words that OpenSSL's lists call it by.
struct Suite {
    suite: SupportedCipherSuite,
    name: &'static str,
    words: &'static [&'static str],
}

const SUITES: [Suite; 6] = [
    Suite {
        suite: TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        name: "ECDHE-ECDSA-AES256-GCM-SHA384",
        words: &["aECDSA", "ECDSA", "AES", "AES256", "AESGCM", "SHA384"],
    },
    Suite {
        suite: TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        name: "ECDHE-RSA-AES256-GCM-SHA384",
        words: &["aRSA", "AES", "AES256", "AESGCM", "SHA384"],
    },
    Suite {
        suite: TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        name: "ECDHE-ECDSA-CHACHA20-POLY1305",
        words: &["aECDSA", "ECDSA", "CHACHA20"],
    },
    Suite {
        suite: TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        name: "ECDHE-RSA-CHACHA20-POLY1305",
        words: &["aRSA", "CHACHA20"],
    },
    Suite {
        suite: TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        name: "ECDHE-ECDSA-AES128-GCM-SHA256",
        words: &["aECDSA", "ECDSA", "AES", "AES128", "AESGCM", "SHA256"],
    },
    Suite {
        suite: TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        name: "ECDHE-RSA-AES128-GCM-SHA256",
        words: &["aRSA", "AES", "AES128", "AESGCM", "SHA256"],
    },
];

/// Words that stand for every suite there is here.
const EVERY: [&str; 9] =
    ["DEFAULT", "ALL", "HIGH", "TLSv1.2", "kECDHE", "kEECDH", "ECDHE", "EECDH", "PROFILE=SYSTEM"];

const SUITES_13: [(&str, SupportedCipherSuite); 3] = [
    ("TLS_AES_256_GCM_SHA384", TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_AES_128_GCM_SHA256", TLS13_AES_128_GCM_SHA256),
];

/// Words in a list; more is no list that a person wrote.
const WORDS_MAX: usize = 1_024;

/// The suites that both lists leave for these protocols, in the order of the lists. An empty list is everything.
pub(super) fn choose(
    ciphers: &str,
    suites: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Vec<SupportedCipherSuite>, String> {
    let mut chosen = Vec::new();
    if versions.contains(&&TLS13) {
        chosen.extend(choose_13(suites)?);
    }
    if versions.contains(&&TLS12) {
        chosen.extend(choose_12(ciphers)?);
    }
    Ok(chosen)
}

fn choose_13(list: &str) -> Result<Vec<SupportedCipherSuite>, String> {
    let words: Vec<&str> = words_of(list).collect();
    if words.is_empty() {
        return Ok(SUITES_13.iter().map(|(_, suite)| *suite).collect());
    }
    let find = |word: &&str| SUITES_13.iter().find(|(name, _)| name == word).map(|(_, suite)| *suite);
    let chosen: Vec<_> = words.iter().filter_map(find).collect();
    if chosen.is_empty() {
        let there: Vec<&str> = SUITES_13.iter().map(|(name, _)| *name).collect();
        return Err(format!("Failed to configure ciphersuites: {list}: there are {}", there.join(", ")));
    }
    let unknown: Vec<&str> = words.into_iter().filter(|word| find(word).is_none()).collect();
    warn_of("tls-ciphersuites", &unknown);
    Ok(chosen)
}

/// OpenSSL's rules: words add, `-` and `!` take away (`!` for good), a leading `+` moves to the end, `+` inside a word
/// means both, `@` words are instructions about order and strength that change nothing here.
fn choose_12(list: &str) -> Result<Vec<SupportedCipherSuite>, String> {
    let mut chosen: Vec<usize> = Vec::new();
    let mut banned: Vec<usize> = Vec::new();
    let mut unknown = Vec::new();
    let mut has_words = false;
    for word in words_of(list).take(WORDS_MAX) {
        has_words = true;
        if word.starts_with('@') {
            continue;
        }
        let (operator, name) = match word.as_bytes() {
            [operator @ (b'-' | b'!' | b'+'), ..] => (*operator, &word[1..]),
            _ => (b' ', word),
        };
        let meant: Vec<usize> = (0..SUITES.len()).filter(|at| is_meant(&SUITES[*at], name)).collect();
        match operator {
            b' ' if meant.is_empty() => unknown.push(name),
            b' ' => {
                let new: Vec<usize> =
                    meant.into_iter().filter(|at| !chosen.contains(at) && !banned.contains(at)).collect();
                chosen.extend(new);
            }
            b'+' => {
                let (kept, moved): (Vec<usize>, Vec<usize>) =
                    chosen.iter().partition(|at| !meant.contains(at));
                chosen = kept;
                chosen.extend(moved);
            }
            _ => {
                chosen.retain(|at| !meant.contains(at));
                if operator == b'!' {
                    banned.extend(meant);
                }
            }
        }
    }
    if !has_words {
        return Ok(SUITES.iter().map(|suite| suite.suite).collect());
    }
    if chosen.is_empty() {
        let there: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
        return Err(format!("Failed to configure ciphers: {list}: there are {}", there.join(", ")));
    }
    warn_of("tls-ciphers", &unknown);
    Ok(chosen.into_iter().map(|at| SUITES[at].suite).collect())
}

fn words_of(list: &str) -> impl Iterator<Item = &str> {
    list.split([':', ',', ' ', ';']).filter(|word| !word.is_empty())
}

fn is_meant(suite: &Suite, name: &str) -> bool {
    suite.name == name || name.split('+').all(|word| EVERY.contains(&word) || suite.words.contains(&word))
}

fn warn_of(directive: &str, unknown: &[&str]) {
    if !unknown.is_empty() {
        tracing::warn!("{directive}: not available here, and left out: {}", unknown.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Result<Vec<&'static str>, String> {
        let chosen = choose(list, "", &[&TLS12])?;
        let name = |suite: SupportedCipherSuite| {
            SUITES.iter().find(|own| own.suite.suite() == suite.suite()).map(|own| own.name)
        };
        Ok(chosen.into_iter().filter_map(name).collect())
    }

    #[test]
    fn lists_are_read_as_openssl_reads_them() {
        assert_eq!(names("").unwrap().len(), 6);
        assert_eq!(names("DEFAULT:-AES128-SHA256").unwrap().len(), 6);
        assert_eq!(names("HIGH:!aNULL:!MD5").unwrap().len(), 6);
        assert_eq!(
            names("ECDHE+AESGCM:!AES256").unwrap(),
            ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"]
        );
        assert_eq!(
            names("ECDHE-RSA-AES128-GCM-SHA256,ECDHE-RSA-AES256-GCM-SHA384:+AES128").unwrap(),
            ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"]
        );
        assert_eq!(names("!CHACHA20:ALL:@STRENGTH").unwrap().len(), 4);
        assert_eq!(names("AES128-SHA256:CHACHA20").unwrap().len(), 2);
        assert_eq!(names("ALL:-CHACHA20:CHACHA20").unwrap().len(), 6);
    }

    #[test]
    fn a_list_that_leaves_nothing_is_refused_with_what_there_is() {
        let error = names("AES128-SHA256").unwrap_err();
        assert!(error.contains("Failed to configure ciphers: AES128-SHA256"), "{error}");
        assert!(error.contains("ECDHE-RSA-AES128-GCM-SHA256"), "{error}");
        assert!(names("ALL:!ALL").is_err());
        assert!(choose("", "TLS_AES_128_CCM_SHA256", &[&TLS13]).is_err());
        // A list for a protocol that is off is not read.
        assert_eq!(choose("nonsense", "", &[&TLS13]).unwrap().len(), 3);
        assert_eq!(
            choose("", "TLS_AES_128_CCM_SHA256:TLS_AES_128_GCM_SHA256", &[&TLS13]).unwrap(),
            [TLS13_AES_128_GCM_SHA256]
        );
    }
}
