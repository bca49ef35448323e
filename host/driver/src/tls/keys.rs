//! The private key: `tls-key-file` and `tls-key-file-pass`.

use std::path::Path;

use pkcs8::EncryptedPrivateKeyInfo;
use pkcs8::der::SecretDocument;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::read_pem;

const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";

/// Reads a key in PEM: PKCS#8, PKCS#1 or SEC1; PKCS#8 may be encrypted with `password`.
pub(super) fn read(path: &Path, password: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    let failed = |why: &str| format!("Failed to load private key: {}: {why}", path.display());
    let text = read_pem(path).map_err(|why| failed(&why))?;
    if contains(&text, BEGIN.as_bytes()) {
        return decrypt(&text, password).map_err(|why| failed(&why));
    }
    if contains(&text, b"Proc-Type: 4,ENCRYPTED") {
        return Err(failed(
            "it is encrypted in OpenSSL's old way; 'openssl pkcs8 -topk8' makes a file of it that can be read",
        ));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| failed("there is no private key in it"))
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted)
}

/// The first encrypted block of a file, opened.
fn decrypt(text: &[u8], password: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    if password.is_empty() {
        return Err("it is encrypted, and there is no tls-key-file-pass".to_owned());
    }
    let text = str::from_utf8(text).map_err(|_| "it is no PEM file")?;
    let begin = text.find(BEGIN).unwrap_or(0);
    let end = text.find(END).map(|at| at + END.len()).filter(|end| *end > begin).ok_or("it is cut short")?;
    let (_, document) =
        SecretDocument::from_pem(&text[begin..end]).map_err(|error| format!("it is no PEM file: {error}"))?;
    let encrypted = EncryptedPrivateKeyInfo::try_from(document.as_bytes())
        .map_err(|error| format!("it is not encrypted as PKCS#8 has it: {error}"))?;
    let key = encrypted.decrypt(password).map_err(
        |_| "tls-key-file-pass does not open it, or it is encrypted in a way that is not known here",
    )?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}
