//! Encrypted connections that this server opens: the client's half of a handshake.
//! Always: the other server's certificate is vouched for by `tls-ca-cert-file` or `tls-ca-cert-dir`. Its name is not
//! looked at, as in Redis: whom such an authority knows is one of ours.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};
use tenon_base::{Tls, describe};
use tokio::net::TcpStream;

use super::handshakes::shake_hands;
use super::{TlsStream, algorithms, authorities, chain, identity, keys};

/// Makes a connection ready to talk. The error is a sentence.
pub(crate) async fn greet(socket: TcpStream, settings: &Tls) -> Result<TlsStream, String> {
    let address = socket.peer_addr().map_err(|error| describe(&error))?;
    let session = ClientConnection::new(context(settings)?, ServerName::from(address.ip()));
    let mut session = Box::new(session.map_err(|error| error.to_string())?.into());
    shake_hands(&socket, &mut session).await?;
    Ok(TlsStream::new(socket, session))
}

/// Reads the files and builds what a handshake is made with. The error names the directive or file.
pub(super) fn context(settings: &Tls) -> Result<Arc<ClientConfig>, String> {
    let (provider, versions) = algorithms(settings)?;
    let authorities = Authorities { roots: authorities::read(settings)?, provider: Arc::clone(&provider) };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|error| format!("tls-protocols and the ciphers do not fit together: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(authorities));
    let (Some(certificate), Some(key)) = (&settings.certificate_file, &settings.key_file) else {
        return Ok(Arc::new(builder.with_no_client_auth()));
    };
    let (chain, key) = (chain(certificate)?, keys::read(key, &settings.key_password)?);
    let identity = identity(certificate, chain, key, &provider)?;
    Ok(Arc::new(builder.with_client_cert_resolver(identity)))
}

/// Who may vouch for servers.
#[derive(Debug)]
struct Authorities {
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Authorities {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(certificate)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let known = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, known)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
