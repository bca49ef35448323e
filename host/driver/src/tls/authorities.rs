//! Who may vouch for clients: `tls-ca-cert-file` and `tls-ca-cert-dir`.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tenon_base::{Tls, describe};

use super::{files_of, read_pem};

/// Files that are read of a directory.
const FILES_MAX: usize = 4_096;

/// All of them. An error where none was found, or where a file that was named cannot be used.
pub(super) fn read(settings: &Tls) -> Result<RootCertStore, String> {
    if settings.authority_file.is_none() && settings.authority_directory.is_none() {
        return Err(
            "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-auth-clients is enabled!"
                .to_owned(),
        );
    }
    let mut roots = RootCertStore::empty();
    if let Some(path) = &settings.authority_file {
        let failed = |why: String| {
            format!("Failed to configure CA certificate(s) file/directory: {}: {why}", path.display())
        };
        let text = read_pem(path).map_err(failed)?;
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let certificate = certificate.map_err(|error| failed(error.to_string()))?;
            roots.add(certificate).map_err(|error| failed(error.to_string()))?;
        }
    }
    if let Some(directory) = &settings.authority_directory {
        let files = files_of(directory).map_err(|error| {
            let shown = directory.display();
            format!("Failed to configure CA certificate(s) file/directory: {shown}: {}", describe(&error))
        })?;
        // Such directories hold links, lists of revoked certificates and much that is too old to be used: what is
        // no certificate of an authority vouches for nobody.
        for path in files.iter().take(FILES_MAX) {
            let Ok(text) = read_pem(path) else { continue };
            roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&text).filter_map(Result::ok));
        }
    }
    if roots.is_empty() {
        return Err(
            "Failed to configure CA certificate(s) file/directory: there is no certificate in it".to_owned()
        );
    }
    Ok(roots)
}
