//! Who a verified client certificate stands for. The chain, its dates and its purpose were checked by TLS before.

use super::error::CertificateProblem;
use super::identity::{IdentityField, USER_URN};
use crate::broker::UserName;
use aws_lc_rs::digest;
use std::fmt;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The SHA-256 digest of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; digest::SHA256_OUTPUT_LEN]);

impl Fingerprint {
    /// The fingerprint of these bytes, as stored.
    pub fn from_bytes(bytes: [u8; digest::SHA256_OUTPUT_LEN]) -> Self {
        Self(bytes)
    }

    /// The fingerprint of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
        Self(bytes)
    }

    /// Its bytes, as they are stored.
    pub fn as_bytes(&self) -> &[u8; digest::SHA256_OUTPUT_LEN] {
        &self.0
    }

    /// Reads what `Display` writes; colons may be missing and letters may be small.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|&c| c != ':').collect();
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }
}

impl From<[u8; digest::SHA256_OUTPUT_LEN]> for Fingerprint {
    fn from(bytes: [u8; digest::SHA256_OUTPUT_LEN]) -> Self {
        Self(bytes)
    }
}

/// A client certificate that TLS verified, taken apart once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    common_names: Names,
    uris: Names,
    dns_names: Names,
    serial: Vec<u8>,
    fingerprint: Fingerprint,
    not_after: i64,
}

/// The values of one field: what matters is whether there is exactly one, and whether it is text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Names {
    #[default]
    None,
    One(String),
    NotText,
    Many,
}

impl Names {
    fn add(&mut self, name: Option<&str>) {
        *self = match (&self, name) {
            (Self::None, Some(name)) => Self::One(name.to_owned()),
            (Self::None, None) => Self::NotText,
            (Self::One(_) | Self::NotText | Self::Many, _) => Self::Many,
        };
    }
}

impl ClientCertificate {
    /// Takes a certificate in DER apart.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateProblem> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateProblem::Unreadable)?;
        if !rest.is_empty() {
            return Err(CertificateProblem::Unreadable);
        }
        let mut parsed = Self {
            common_names: Names::None,
            uris: Names::None,
            dns_names: Names::None,
            serial: certificate.raw_serial().to_vec(),
            fingerprint: Fingerprint::of(der),
            not_after: certificate.validity().not_after.timestamp(),
        };
        for name in certificate.subject().iter_common_name() {
            parsed.common_names.add(name.as_str().ok());
        }
        let alternatives = certificate.subject_alternative_name().map_err(|_| CertificateProblem::Unreadable)?;
        for name in alternatives.iter().flat_map(|extension| &extension.value.general_names) {
            // Clippy's wildcard lint is about our own enums: other kinds of names are none of our business.
            match name {
                GeneralName::URI(uri) => parsed.uris.add(Some(uri)),
                GeneralName::DNSName(dns) => parsed.dns_names.add(Some(dns)),
                GeneralName::Invalid(..) => return Err(CertificateProblem::Unreadable),
                _ => {}
            }
        }
        Ok(parsed)
    }

    /// The user that the certificate names in that field: exactly one value, byte for byte a user name.
    pub fn user(&self, field: IdentityField) -> Result<UserName, CertificateProblem> {
        let names = match field {
            IdentityField::CommonName => &self.common_names,
            IdentityField::SanUri => &self.uris,
            IdentityField::SanDns => &self.dns_names,
        };
        let value = match names {
            Names::None => return Err(CertificateProblem::NoName(field)),
            Names::Many => return Err(CertificateProblem::ManyNames(field)),
            Names::NotText => return Err(CertificateProblem::NotText(field)),
            Names::One(value) => value.as_str(),
        };
        let name = match field {
            IdentityField::CommonName | IdentityField::SanDns => value,
            IdentityField::SanUri => value.strip_prefix(USER_URN).ok_or(CertificateProblem::ForeignUri)?,
        };
        UserName::new(name).map_err(CertificateProblem::Name)
    }

    /// The serial number as hex pairs.
    pub fn serial(&self) -> String {
        hex_pairs(&self.serial)
    }

    /// The fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whether the certificate has ended at that second of Unix time. TLS checks it in a full handshake, but not when
    /// a session is resumed.
    pub fn has_expired(&self, unix_seconds: i64) -> bool {
        self.not_after < unix_seconds
    }
}

fn hex_pairs(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex_pairs(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
