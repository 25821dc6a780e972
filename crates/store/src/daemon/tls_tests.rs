//! Engines behind TLS: which of them is trusted, and whom they trust.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;

use super::server::Engine;
use super::*;
use crate::remote::chain;

/// The files of an authority: `ca.pem`, and certificates by the names of their files.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        let folder = tempfile::tempdir().expect("a folder");
        params.distinguished_name.push(DnType::CommonName, folder.path().display().to_string());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signs");
        let authority = Self { folder, issuer };
        std::fs::write(authority.path("ca.pem"), authority.issuer.pem()).expect("writes");
        authority.certify("cert", "client");
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a certificate for a host and its key to `file.pem` and `file-key.pem`.
    fn certify(&self, file: &str, host: &str) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![host.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("signs");
        std::fs::write(self.path(&format!("{file}.pem")), certificate.pem()).expect("writes");
        std::fs::write(self.path(&format!("{file}-key.pem")), key.serialize_pem()).expect("writes");
    }

    /// An engine with a certificate for the host; it takes clients of this authority alone, where it `asks`.
    fn engine(&self, host: &str, asks: bool) -> Engine {
        self.certify("server", host);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().expect("versions");
        let builder = if asks {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).expect("PEM")).expect("an authority");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_file(self.path("server.pem")).expect("PEM")];
        let key = PrivateKeyDer::from_pem_file(self.path("server-key.pem")).expect("PEM");
        let config = builder.with_single_cert(chain, key).expect("a certificate");
        Engine::start_tls(config, |asked| asked.answer(200, r#"{"Id":"sha256:1"}"#))
    }

    fn tls(&self) -> Tls {
        Tls { authority: Some(self.path("ca.pem")), ..Tls::default() }
    }

    fn tls_with_identity(&self) -> Tls {
        let identity = Some((self.path("cert.pem"), self.path("cert-key.pem")));
        Tls { identity, ..self.tls() }
    }
}

fn has(engine: &Engine, tls: &Tls) -> Result<bool, DaemonError> {
    Daemon::at(&engine.address, Some(tls)).expect("an address").has("app")
}

/// The causes and the hint of a connection that does not stand.
fn failure(engine: &Engine, tls: &Tls) -> (String, String) {
    match has(engine, tls) {
        Err(error @ DaemonError::Unreachable { .. }) => (chain(&error), error.hint().expect("a hint")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_engine_of_the_known_authority_is_spoken_to() {
    let authority = Authority::new();
    assert!(has(&authority.engine("127.0.0.1", false), &authority.tls()).expect("answers"));
    // A certificate that nobody asks for does no harm.
    assert!(has(&authority.engine("127.0.0.1", false), &authority.tls_with_identity()).expect("answers"));
    assert!(has(&authority.engine("127.0.0.1", true), &authority.tls_with_identity()).expect("answers"));
}

#[test]
fn an_engine_of_another_authority_or_name_is_not_trusted() {
    let (authority, other) = (Authority::new(), Authority::new());
    for (engine, tls, cause) in [
        (authority.engine("127.0.0.1", false), other.tls(), "UnknownIssuer"),
        (authority.engine("127.0.0.1", false), Tls::default(), "UnknownIssuer"),
        (authority.engine("elsewhere.example", false), authority.tls(), "not valid for name"),
    ] {
        let (causes, hint) = failure(&engine, &tls);
        assert!(causes.contains(cause) && hint.contains("ca.pem"), "{causes}\n{hint}");
        assert_eq!(engine.asked(), [""; 0], "nothing is asked of it");
        assert!(has(&engine, &Tls { trusts_anyone: true, ..tls }).expect("answers"), "unless that is wanted");
    }
}

#[test]
fn an_engine_that_wants_a_certificate_gets_one_of_its_authority() {
    let (authority, other) = (Authority::new(), Authority::new());
    let engine = authority.engine("127.0.0.1", true);
    let foreign = Tls { identity: other.tls_with_identity().identity, ..authority.tls() };
    for tls in [authority.tls(), foreign] {
        let (causes, hint) = failure(&engine, &tls);
        assert!(causes.contains("fatal alert") && hint.contains("key.pem"), "{causes}\n{hint}");
    }
}

#[test]
fn speaking_past_each_other_is_said() {
    let authority = Authority::new();
    // Go's server answers what is no request; others go.
    for answer in ["HTTP/1.1 400 Bad Request\r\n\r\n", ""] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("tcp://{}", listener.local_addr().expect("an address"));
        let plain = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(answer.as_bytes()));
        });
        let result = Daemon::at(&address, Some(&authority.tls())).expect("an address").has("app");
        plain.join().expect("no panic");
        let error = result.expect_err("no TLS");
        assert!(error.hint().expect("a hint").contains("does not speak TLS"), "{}", chain(&error));
    }
    // What Go's server says to a plain request.
    let refused = DaemonError::Refused {
        address: "tcp://host".to_owned(),
        what: "say which version it has".to_owned(),
        message: "Client sent an HTTP request to an HTTPS server.".to_owned(),
    };
    assert!(refused.hint().expect("a hint").contains("DOCKER_TLS_VERIFY"));
}

#[test]
fn files_that_are_none_are_named() {
    let authority = Authority::new();
    std::fs::write(authority.path("empty.pem"), "nothing\n").expect("writes");
    authority.certify("second", "client");
    let identity = |certificate: &str, key: &str| Some((authority.path(certificate), authority.path(key)));
    for (tls, named) in [
        (Tls { authority: Some(authority.path("none.pem")), ..Tls::default() }, "none.pem"),
        (Tls { authority: Some(authority.path("empty.pem")), ..Tls::default() }, "empty.pem"),
        (Tls { identity: identity("cert.pem", "empty.pem"), ..authority.tls() }, "empty.pem"),
        (Tls { identity: identity("cert.pem", "second-key.pem"), ..authority.tls() }, "second-key.pem"),
    ] {
        match Daemon::at("tcp://127.0.0.1:1", Some(&tls)) {
            Err(DaemonError::Certificate { path, .. }) => assert_eq!(path.file_name(), Path::new(named).file_name()),
            other => panic!("{named}: {other:?}"),
        }
    }
}
