//! Encrypted connections: settings become a context (certificates, keys, ciphers), a thread of its own makes the
//! handshakes with it, and the worker gets connections that are ready to talk.
//! Always: a context is built as a whole or not at all, so that a bad file leaves the old one in force; no key and no
//! password is ever part of a sentence.

mod handshakes;
mod outgoing;
mod stream; // what the worker holds

mod authorities;
mod ciphers;
mod keys;
mod sessions;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{Error, InconsistentKeys, ServerConfig, SupportedProtocolVersion};
use tenon_base::{ClientCertificates, Tls};

pub(crate) use handshakes::{Handshaken, Handshakes, Raw};
pub(crate) use outgoing::greet;
pub(crate) use stream::TlsStream;

/// What one PEM file may hold.
const PEM_BYTES_MAX: u64 = 4 << 20;

/// Whether handshakes could be made with these settings. The error is a sentence that names the directive or file.
pub fn check(settings: &Tls) -> Result<(), String> {
    context(settings).map(drop)
}

/// Reads the files and builds what handshakes are made with. The error is a sentence that names the directive or file.
pub(crate) fn context(settings: &Tls) -> Result<Arc<ServerConfig>, String> {
    let certificate = settings.certificate_file.as_deref().ok_or("No tls-cert-file configured!")?;
    let key = settings.key_file.as_deref().ok_or("No tls-key-file configured!")?;
    let (provider, versions) = algorithms(settings)?;
    let chain = chain(certificate)?;
    let key = keys::read(key, &settings.key_password)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|error| format!("tls-protocols and the ciphers do not fit together: {error}"))?;
    let builder = match settings.clients {
        ClientCertificates::Unasked => builder.with_no_client_auth(),
        asked => {
            let roots = authorities::read(settings)?;
            let mut verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            if asked == ClientCertificates::Optional {
                verifier = verifier.allow_unauthenticated();
            }
            let verifier = verifier
                .build()
                .map_err(|error| format!("Failed to configure CA certificate(s) file/directory: {error}"))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_cert_resolver(identity(certificate, chain, key, &provider)?);
    config.ignore_client_order = settings.prefers_own_order;
    match settings.session_cache {
        Some(bounds) => config.session_storage = Arc::new(sessions::Sessions::new(bounds)),
        None => {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
    }
    Ok(Arc::new(config))
}

/// A chain and its key. A certificate of X.509's first version is shown like any other, though it could not be verified
/// here: that is its reader's affair, and `openssl x509` makes such where it is told of no extensions.
fn identity(
    path: &Path,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<Arc<SingleCertAndKey>, String> {
    let failed = |error: Error| {
        format!("Failed to load certificate: {}: it does not fit its key: {error}", path.display())
    };
    let certified = CertifiedKey::new(chain, provider.key_provider.load_private_key(key).map_err(failed)?);
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(error @ Error::InvalidCertificate(_)) => {
            let public = certified.key.public_key();
            let is_in = |bytes: &[u8]| certified.cert[0].windows(bytes.len()).any(|part| part == bytes);
            if !public.is_some_and(|public| !public.is_empty() && is_in(&public)) {
                return Err(failed(error));
            }
            tracing::warn!(
                "The certificate {} is of a kind that no Tenon accepts from a peer: {error}. If it has no \
                 extensions, make it anew with some (openssl x509 -req -extfile ...)",
                path.display()
            );
        }
        Err(error) => return Err(failed(error)),
    }
    Ok(Arc::new(SingleCertAndKey::from(certified)))
}

/// What may be spoken.
fn algorithms(
    settings: &Tls,
) -> Result<(Arc<CryptoProvider>, Vec<&'static SupportedProtocolVersion>), String> {
    let versions = protocols(&settings.protocols)?;
    let cipher_suites = ciphers::choose(&settings.ciphers, &settings.cipher_suites, &versions)?;
    Ok((Arc::new(CryptoProvider { cipher_suites, ..ring::default_provider() }), versions))
}

/// `tls-protocols`. The old ones that OpenSSL still knows do not exist here: they are left out if others are named,
/// and refused if they are all that is named.
fn protocols(names: &str) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let mut versions = Vec::new();
    let mut old = false;
    for name in names.split(' ').filter(|name| !name.is_empty()) {
        match name.to_ascii_lowercase().as_str() {
            "tlsv1.2" => versions.push(&TLS12),
            "tlsv1.3" => versions.push(&TLS13),
            "tlsv1" | "tlsv1.1" => old = true,
            _ => {
                return Err(format!(
                    "Invalid tls-protocols specified: '{name}'. Use a combination of 'TLSv1.2' and 'TLSv1.3'."
                ));
            }
        }
    }
    match (versions.is_empty(), old) {
        (true, false) => Ok(vec![&TLS13, &TLS12]),
        (true, true) => {
            Err("tls-protocols: TLSv1 and TLSv1.1 are not safe and not available; name TLSv1.2 or TLSv1.3"
                .to_owned())
        }
        (false, true) => {
            tracing::warn!(
                "tls-protocols: TLSv1 and TLSv1.1 are not safe and not available; the others are used"
            );
            Ok(versions)
        }
        (false, false) => Ok(versions),
    }
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |why: String| format!("Failed to load certificate: {}: {why}", path.display());
    let text = read_pem(path).map_err(failed)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| failed(error.to_string()))?;
    if chain.is_empty() { Err(failed("there is no certificate in it".to_owned())) } else { Ok(chain) }
}

/// A file of bounded length: what is named may be anything.
fn read_pem(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(|error| tenon_base::describe(&error))?;
    let metadata = file.metadata().map_err(|error| tenon_base::describe(&error))?;
    if !metadata.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut text = Vec::new();
    file.take(PEM_BYTES_MAX + 1).read_to_end(&mut text).map_err(|error| tenon_base::describe(&error))?;
    if text.len() as u64 > PEM_BYTES_MAX {
        return Err(format!("it is longer than {} MB", PEM_BYTES_MAX >> 20));
    }
    Ok(text)
}

/// Files of a directory, in the order of their names.
fn files_of(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests;
