//! What a client of TLS trusts, and the certificate it shows.

use crate::config::CertificateFiles;
use crate::server::transport::{Application, TlsSettingsError, crypto_provider, read_certificates, read_private_key};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The files of a client of TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustFiles {
    /// Who may sign the server's certificate.
    pub ca: PathBuf,
    /// What the client shows if it is asked who it is.
    pub identity: Option<CertificateFiles>,
}

/// What a client of TLS trusts, and the certificate it shows: read and checked.
#[derive(Debug, Clone)]
pub struct Trust(ClientConfig);

impl Trust {
    /// Reads the files.
    pub fn load(files: &TrustFiles) -> Result<Self, TlsSettingsError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(crypto_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots(&files.ca)?);
        let config = match &files.identity {
            None => builder.with_no_client_auth(),
            Some(CertificateFiles { certificate, private_key }) => builder
                .with_client_auth_cert(read_certificates(certificate)?, read_private_key(private_key)?)
                .map_err(|source| TlsSettingsError::Pair {
                    certificate: certificate.clone(),
                    key: private_key.clone(),
                    source,
                })?,
        };
        Ok(Self(config))
    }

    /// The same without going on with TLS sessions: every handshake is a whole one.
    #[must_use]
    pub fn without_resumption(mut self) -> Self {
        self.0.resumption = Resumption::disabled();
        self
    }

    /// For a connection that speaks this inside of TLS.
    pub(super) fn config(&self, application: Application) -> Arc<ClientConfig> {
        let mut config = self.0.clone();
        config.alpn_protocols = vec![application.alpn().to_vec()];
        Arc::new(config)
    }
}

fn roots(ca: &Path) -> Result<RootCertStore, TlsSettingsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(ca)? {
        roots.add(certificate).map_err(|source| TlsSettingsError::ClientCa { path: ca.into(), source })?;
    }
    Ok(roots)
}
