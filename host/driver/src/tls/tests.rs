//! Contexts from files: what is good, what is refused and with which words.

use std::path::{Path, PathBuf};

use super::*;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/tls").join(name)
}

fn settings() -> Tls {
    Tls {
        certificate_file: Some(file("server.crt")),
        key_file: Some(file("server.key")),
        authority_file: Some(file("ca.crt")),
        ..Tls::default()
    }
}

fn refusal(settings: Tls) -> String {
    context(&settings).expect_err("to be refused")
}

#[test]
fn good_files_make_a_context() {
    context(&settings()).unwrap();
    context(&Tls { clients: ClientCertificates::Unasked, authority_file: None, ..settings() }).unwrap();
    context(&Tls { clients: ClientCertificates::Optional, ..settings() }).unwrap();
    let ours = Tls { prefers_own_order: true, protocols: "TLSv1.2".to_owned(), ..settings() };
    assert!(context(&ours).unwrap().ignore_client_order);
    let directory = Tls { authority_file: None, authority_directory: Some(file("")), ..settings() };
    context(&directory).unwrap();
}

#[test]
fn a_certificate_without_extensions_is_shown_if_it_fits_its_key() {
    let with = |certificate: &str, key: &str| Tls {
        certificate_file: Some(file(certificate)),
        key_file: Some(file(key)),
        ..settings()
    };
    context(&with("version1.crt", "version1.key")).unwrap();
    outgoing::context(&with("version1.crt", "version1.key")).unwrap();
    for key in ["server.key", "renewed.key"] {
        assert!(refusal(with("version1.crt", key)).contains("does not fit its key"), "{key}");
    }
}

#[test]
fn an_encrypted_key_needs_its_password() {
    let with = |name: &str, password: &str| Tls {
        key_file: Some(file(name)),
        key_password: password.as_bytes().to_vec(),
        ..settings()
    };
    context(&with("server-encrypted.key", "1234")).unwrap();
    assert!(refusal(with("server-encrypted.key", "")).contains("there is no tls-key-file-pass"));
    assert!(refusal(with("server-encrypted.key", "wrong")).contains("does not open it"));
    assert!(refusal(with("server-encrypted-old.key", "1234")).contains("openssl pkcs8 -topk8"));
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    for (settings, part) in [
        (Tls { certificate_file: None, ..settings() }, "No tls-cert-file configured!"),
        (Tls { key_file: None, ..settings() }, "No tls-key-file configured!"),
        (Tls { authority_file: None, ..settings() }, "Either tls-ca-cert-file or tls-ca-cert-dir"),
        (Tls { certificate_file: Some(file("absent")), ..settings() }, "No such file or directory"),
        (Tls { certificate_file: Some(file("server.key")), ..settings() }, "there is no certificate in it"),
        (Tls { certificate_file: Some(file("renewed.crt")), ..settings() }, "does not fit its key"),
        (Tls { key_file: Some(file("server.crt")), ..settings() }, "there is no private key in it"),
        (Tls { key_file: Some("/dev/zero".into()), ..settings() }, "it is not a file"),
        (Tls { authority_file: Some(file("server.key")), ..settings() }, "there is no certificate in it"),
        (Tls { protocols: "TLSv1.1".to_owned(), ..settings() }, "TLSv1 and TLSv1.1 are not safe"),
        (Tls { protocols: "SSLv3".to_owned(), ..settings() }, "Invalid tls-protocols specified: 'SSLv3'"),
        (Tls { ciphers: "AES128-SHA256".to_owned(), ..settings() }, "Failed to configure ciphers"),
    ] {
        let refused = refusal(settings);
        assert!(refused.contains(part), "{part:?} is not in {refused:?}");
    }
    let mixed = Tls { protocols: "TLSv1.1 TLSv1.3".to_owned(), ..settings() };
    context(&mixed).expect("what is available is used");
}

#[test]
fn what_this_server_shows_others_is_built_with_the_same_care() {
    let shows = |settings: Tls| {
        outgoing::context(&settings).map(|context| context.client_auth_cert_resolver.has_certs())
    };
    assert_eq!(shows(settings()), Ok(true));
    assert_eq!(shows(Tls { certificate_file: None, key_file: None, ..settings() }), Ok(false));
    for (settings, part) in [
        (Tls { authority_file: None, ..settings() }, "Either tls-ca-cert-file or tls-ca-cert-dir"),
        (Tls { certificate_file: Some(file("renewed.crt")), ..settings() }, "does not fit its key"),
        (Tls { protocols: "TLSv1.1".to_owned(), ..settings() }, "TLSv1 and TLSv1.1 are not safe"),
    ] {
        let refused = shows(settings).expect_err("to be refused");
        assert!(refused.contains(part), "{part:?} is not in {refused:?}");
    }
}
