//! What a TLS listener offers and demands, read from files and read again while it serves.

use super::error::TlsSettingsError;
use crate::config::TlsVersion;
use crate::store::PrivateFile;
use arc_swap::ArcSwap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::aws_lc_rs::{self, Ticketer, cipher_suite, kx_group};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// The files of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our certificate and those between it and the CA, in this order.
    pub certificate: PathBuf,
    /// The key that belongs to it.
    pub key: PathBuf,
    /// Who may sign client certificates.
    pub client_ca: Option<PathBuf>,
    /// Lists of client certificates that are revoked. If there are any, a certificate that none speaks of is refused.
    pub revocations: Vec<PathBuf>,
}

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Never.
    NotAsked,
    /// One that is sent must be good.
    Optional,
    /// Without a good one there is no connection.
    Required,
}

/// What is spoken inside of TLS, which ALPN agrees on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Application {
    /// MQTT itself.
    Mqtt,
    /// MQTT in WebSocket, which begins as HTTP 1.1.
    WebSocket,
}

/// All that a TLS listener is set up by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsOptions {
    /// Where certificates and keys are.
    pub files: TlsFiles,
    /// Whether clients are asked for theirs.
    pub client_certificates: ClientCertificates,
    /// What is spoken inside.
    pub application: Application,
    /// The oldest version that clients may speak.
    pub minimum_version: TlsVersion,
}

/// A TLS listener's settings, in force and renewable.
#[derive(Debug)]
pub struct TlsSettings {
    options: TlsOptions,
    config: ArcSwap<ServerConfig>,
}

impl TlsOptions {
    /// Everything that is wrong with the files, without those that are still to be made.
    pub fn problems(&self, is_still_made: impl Fn(&Path) -> bool) -> Vec<TlsSettingsError> {
        let TlsFiles { certificate, key, client_ca, revocations } = &self.files;
        let mut problems = Vec::new();
        problems.extend(read_certificates(certificate).err().filter(|_| !is_still_made(certificate)));
        problems.extend(read_private_key(key).err().filter(|_| !is_still_made(key)));
        if let Some(ca) = client_ca {
            problems.extend(read_certificates(ca).err().filter(|_| !is_still_made(ca)));
        }
        problems.extend(revocations.iter().filter_map(|list| read_revocations(list).err()));
        let all = [certificate, key].into_iter().chain(client_ca);
        if problems.is_empty() && !all.into_iter().any(|path| is_still_made(path)) {
            // Each of them is what it should be; whether they belong together is left.
            problems.extend(build(self).err());
        }
        problems
    }
}

impl TlsSettings {
    /// Reads the files.
    pub fn load(options: TlsOptions) -> Result<Self, TlsSettingsError> {
        let config = ArcSwap::from_pointee(build(&options)?);
        Ok(Self { options, config })
    }

    /// Reads the files again. What was in force stays so if anything is wrong with them. Sessions of before are not
    /// resumed: their clients, whose certificates may be revoked by now, go through a full handshake.
    pub fn reload(&self) -> Result<(), TlsSettingsError> {
        self.config.store(Arc::new(build(&self.options)?));
        Ok(())
    }

    /// For a listener of another kind; it goes on with the certificate of the moment.
    pub fn server_config(self: &Arc<Self>) -> ServerConfig {
        let mut config = ServerConfig::clone(&self.config());
        config.cert_resolver = Arc::new(Current(Arc::clone(self)));
        config
    }

    /// What it was set up by.
    pub fn options(&self) -> &TlsOptions {
        &self.options
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }
}

/// The certificate of the moment.
#[derive(Debug)]
struct Current(Arc<TlsSettings>);

impl ResolvesServerCert for Current {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.config().cert_resolver.resolve(hello)
    }
}

fn build(options: &TlsOptions) -> Result<ServerConfig, TlsSettingsError> {
    let TlsFiles { certificate, key, client_ca: _, revocations: _ } = &options.files;
    let provider = Arc::new(crypto_provider());
    let chain = read_certificates(certificate)?;
    let private = read_private_key(key)?;
    let versions: &[_] = match options.minimum_version {
        TlsVersion::V1_2 => &[&TLS13, &TLS12],
        TlsVersion::V1_3 => &[&TLS13],
    };
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(client_verifier(options, provider)?)
        .with_single_cert(chain, private)
        .map_err(|source| TlsSettingsError::Pair { certificate: certificate.clone(), key: key.clone(), source })?;
    config.alpn_protocols = vec![options.application.alpn().to_vec()];
    config.ticketer = Ticketer::new()?;
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
    // Data before the handshake is over could be replayed. rustls has it off; this says that we mean it.
    config.max_early_data_size = 0;
    Ok(config)
}

/// What BSI TR-02102-2 and NIST SP 800-52 allow and rustls has: forward secrecy and authenticated encryption only.
pub fn crypto_provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1],
        ..aws_lc_rs::default_provider()
    }
}

fn client_verifier(
    options: &TlsOptions,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsSettingsError> {
    if options.client_certificates == ClientCertificates::NotAsked {
        return Ok(WebPkiClientVerifier::no_client_auth());
    }
    let path = options.files.client_ca.as_ref().ok_or(TlsSettingsError::NoClientCa)?;
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots.add(certificate).map_err(|source| TlsSettingsError::ClientCa { path: path.clone(), source })?;
    }
    let mut revocations = Vec::new();
    for path in &options.files.revocations {
        revocations.extend(read_revocations(path)?);
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .with_crls(revocations)
        .only_check_end_entity_revocation();
    let verifier = match options.client_certificates {
        ClientCertificates::Optional => verifier.allow_unauthenticated(),
        ClientCertificates::Required | ClientCertificates::NotAsked => verifier,
    };
    verifier.build().map_err(TlsSettingsError::Revocations)
}

/// All certificates of a PEM file; at least one.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsSettingsError> {
    pem_items(&read(path)?, path, "certificate")
}

/// The key of a PEM file that nobody else may read.
pub fn read_private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsSettingsError> {
    PrivateKeyDer::from_pem_slice(&PrivateFile::read(path, MAX_KEY_FILE)?)
        .map_err(|_| TlsSettingsError::NotPem { path: path.into(), expected: "private key" })
}

/// Revocation lists come in PEM, and from many authorities as the bare list.
fn read_revocations(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsSettingsError> {
    let bytes = read(path)?;
    if bytes.first() == Some(&DER_SEQUENCE) {
        return Ok(vec![bytes.into()]);
    }
    pem_items(&bytes, path, "revocation list")
}

fn read(path: &Path) -> Result<Vec<u8>, TlsSettingsError> {
    std::fs::read(path).map_err(|source| TlsSettingsError::Unreadable { path: path.into(), source })
}

/// All items of one kind in PEM; at least one.
fn pem_items<Item: PemObject>(pem: &[u8], path: &Path, expected: &'static str) -> Result<Vec<Item>, TlsSettingsError> {
    match Item::pem_slice_iter(pem).collect::<Result<Vec<Item>, _>>() {
        Ok(items) if !items.is_empty() => Ok(items),
        _ => Err(TlsSettingsError::NotPem { path: path.into(), expected }),
    }
}

impl Application {
    /// Its name in ALPN.
    pub fn alpn(self) -> &'static [u8] {
        match self {
            Self::Mqtt => b"mqtt",
            Self::WebSocket => b"http/1.1",
        }
    }
}

/// What every structure in DER begins with, and nothing in PEM.
const DER_SEQUENCE: u8 = 0x30;

/// No key is longer: RSA of 16,384 bits takes 13 KB in PEM.
const MAX_KEY_FILE: u64 = 64 * 1024;

/// TLS 1.2 clients without tickets resume from memory: about 1 KB each.
const SESSIONS: usize = 1024;
