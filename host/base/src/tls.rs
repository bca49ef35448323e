//! What encrypted connections are made with, as settings: files, and what is allowed. Reads no file and knows no
//! protocol; see `driver`.

use std::fmt;
use std::path::PathBuf;

/// Settings of TLS. File names are absolute.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Rises whenever the files are to be read again, although their names may be the same.
    pub revision: u64,
    /// The server's chain of certificates, in PEM.
    pub certificate_file: Option<PathBuf>,
    /// Its private key, in PEM.
    pub key_file: Option<PathBuf>,
    /// What the key is encrypted with; empty if it is not.
    pub key_password: Vec<u8>,
    /// Certificates that vouch for clients, in PEM.
    pub authority_file: Option<PathBuf>,
    /// A directory of such files.
    pub authority_directory: Option<PathBuf>,
    /// What clients have to show.
    pub clients: ClientCertificates,
    /// Names of protocols between blanks; empty means all that are safe.
    pub protocols: String,
    /// Which ciphers TLS 1.2 may use, in OpenSSL's notation; empty means all.
    pub ciphers: String,
    /// Which suites TLS 1.3 may use, between colons; empty means all.
    pub cipher_suites: String,
    /// Whether the server's order of ciphers counts rather than the client's.
    pub prefers_own_order: bool,
    /// What is kept of sessions, so that clients may resume them.
    pub session_cache: Option<SessionCache>,
}

/// What clients have to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// No certificate is asked for.
    Unasked,
    /// None is needed; one that is shown must be good.
    Optional,
    /// A good one.
    #[default]
    Required,
}

/// Bounds of what is kept of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionCache {
    /// Most sessions; 0 means as many as the driver holds sensible.
    pub sessions_max: usize,
    /// How long a session may be resumed, in seconds.
    pub seconds: u64,
}

/// Without the password.
impl fmt::Debug for Tls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Tls")
            .field("revision", &self.revision)
            .field("certificate_file", &self.certificate_file)
            .field("clients", &self.clients)
            .finish_non_exhaustive()
    }
}
