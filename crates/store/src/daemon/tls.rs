//! TLS to an engine, by the files that the docker command keeps for it: an authority, and a certificate with its key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::DaemonError;

/// How an encrypted connection to an engine is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The authority that the engine's certificate must be of, in PEM; without it, those that this machine trusts.
    pub authority: Option<PathBuf>,
    /// The client's certificate and its key, both in PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Takes any certificate of the engine's, as a context with `SkipTLSVerify` asks for.
    pub trusts_anyone: bool,
}

impl Tls {
    /// What the library needs, with the cryptography that is used for registries as well.
    pub(super) fn config(&self) -> Result<ClientConfig, DaemonError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder =
            builder.with_safe_default_protocol_versions().map_err(|source| failed(Path::new("TLS"), source))?;
        let builder = match &self.authority {
            _ if self.trusts_anyone => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone { provider }))
            }
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(|source| failed(path, source))?;
                }
                builder.with_root_certificates(roots)
            }
            None => {
                builder.with_platform_verifier().map_err(|source| failed(Path::new("this machine's list"), source))?
            }
        };
        match &self.identity {
            None => Ok(builder.with_no_client_auth()),
            Some((certificate, key)) => {
                let chain = certificates(certificate)?;
                let secret = PrivateKeyDer::from_pem_file(key).map_err(|source| failed(key, source))?;
                builder.with_client_auth_cert(chain, secret).map_err(|source| failed(key, source))
            }
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, DaemonError> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = found.map_err(|source| failed(path, source))?;
    if found.is_empty() {
        return Err(failed(path, std::io::Error::other("it holds no certificate, in PEM")));
    }
    Ok(found)
}

fn failed(path: &Path, source: impl std::error::Error + Send + Sync + 'static) -> DaemonError {
    DaemonError::Certificate { path: path.to_owned(), source: Box::new(source) }
}

/// Takes every certificate, and still has the engine prove that it has the key.
#[derive(Debug)]
struct Anyone {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
