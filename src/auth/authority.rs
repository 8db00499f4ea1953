//! The built-in certificate authority: one EC P-256 key in a folder, which signs the broker's own certificate and those
//! of its clients.
//!
//! A key that exists is kept: certificates are renewed for it, and nothing overwrites it. So a crash between two files
//! leaves a key without its certificate, which the next start makes, and never a pair that does not fit.

use super::certificate::Fingerprint;
use super::error::AuthError;
use super::host::{host_names, is_host_name};
use super::identity::USER_URN;
use super::pem_file::{Readers, create_file, replace_file, sweep};
use crate::broker::UserName;
use crate::store::{PrivateFile, create_private_folder};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use zeroize::Zeroizing;

/// The folder `tls` in the data folder, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFolder(PathBuf);

impl TlsFolder {
    /// Of this data folder.
    pub fn of(data_dir: &Path) -> Self {
        Self(data_dir.join("tls"))
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The CA's certificate, which clients are given.
    pub fn ca_certificate(&self) -> PathBuf {
        self.0.join("ca.crt")
    }

    /// The CA's key, which may be kept elsewhere when nothing is to be issued.
    pub fn ca_key(&self) -> PathBuf {
        self.0.join("ca.key")
    }

    /// The broker's certificate, followed by the CA's.
    pub fn server_certificate(&self) -> PathBuf {
        self.0.join("server.crt")
    }

    /// The broker's key.
    pub fn server_key(&self) -> PathBuf {
        self.0.join("server.key")
    }

    /// Where certificates and keys of clients go.
    pub fn clients(&self) -> PathBuf {
        self.0.join("clients")
    }
}

/// What became of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It was there.
    Found,
    /// It is new.
    Created,
    /// It was there, but not for much longer.
    Renewed,
}

/// What [`prepare`] found and made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The CA.
    pub ca: Made,
    /// What clients may compare.
    pub ca_fingerprint: Fingerprint,
    /// The broker's certificate.
    pub server: Made,
    /// How many days it has left; fewer than thirty if it could not be renewed, negative if it has ended.
    pub server_days_left: i64,
}

/// Makes what is missing: the CA and the broker's certificate. Renews that if the CA issued it and it ends soon. What a
/// crash left half written is removed.
pub fn prepare(folder: &TlsFolder, now: SystemTime) -> Result<Prepared, AuthError> {
    sweep(folder.path());
    sweep(&folder.clients());
    let ca = if folder.ca_certificate().exists() {
        Made::Found
    } else {
        Authority::create(folder, now)?;
        Made::Created
    };
    let ca_certificate = Pem::read(&folder.ca_certificate())?;
    let prepared = |server, server_days_left| Prepared {
        ca,
        ca_fingerprint: Fingerprint::of(&ca_certificate.der),
        server,
        server_days_left,
    };
    if !folder.server_certificate().exists() {
        let issued = Authority::open(folder)?.issue_server(&host_names(), now)?;
        return Ok(prepared(Made::Created, issued.days_left));
    }
    let server = Pem::read(&folder.server_certificate())?;
    let (days_left, names) = (server.days_left(now)?, server.names()?);
    let can_renew = folder.ca_key().exists() && server.is_signed_by(&ca_certificate)?;
    if days_left >= RENEW_BELOW_DAYS || !can_renew {
        return Ok(prepared(Made::Found, days_left));
    }
    let issued = Authority::open(folder)?.issue_server(&names, now)?;
    Ok(prepared(Made::Renewed, issued.days_left))
}

/// A certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Its file.
    pub certificate: PathBuf,
    /// The file of its key.
    pub key: PathBuf,
    /// Whether the key is new, or was there and is certified again.
    pub key_made: Made,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// How long it is valid.
    pub days_left: i64,
}

/// The CA, ready to issue.
pub struct Authority {
    folder: TlsFolder,
    certificate: Pem,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a CA. A key that is there without its certificate is used.
    fn create(folder: &TlsFolder, now: SystemTime) -> Result<(), AuthError> {
        create_private_folder(folder.path())?;
        let (key, _) = key_at(&folder.ca_key())?;
        // Named after its key: one that is certified anew is still the issuer of what it signed before.
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.public_key_raw());
        let name: String = data_encoding::HEXLOWER.encode(digest.as_ref()).chars().take(CA_NAME_DIGITS).collect();
        let name = format!("securemq CA {name}");
        let mut params = params(&name, now, CA_DAYS)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        create_file(&folder.ca_certificate(), certificate.pem().as_bytes(), Readers::Everybody)
    }

    /// Opens the CA of a folder.
    pub fn open(folder: &TlsFolder) -> Result<Self, AuthError> {
        let (certificate_path, key_path) = (folder.ca_certificate(), folder.ca_key());
        if !key_path.exists() {
            return Err(AuthError::NoAuthority { path: key_path });
        }
        let certificate = Pem::read(&certificate_path)?;
        let key = read_key(&key_path)?;
        if certificate.parse()?.public_key().subject_public_key.data != key.public_key_raw() {
            return Err(AuthError::NotAPair { certificate: certificate_path, key: key_path });
        }
        let issuer = Issuer::from_ca_cert_der(&certificate.der.as_slice().into(), key)?;
        Ok(Self { folder: folder.clone(), certificate, issuer })
    }

    /// What clients may compare.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate.der)
    }

    /// Issues the broker's certificate for these names and addresses and for all that the machine is called now.
    pub fn issue_server(&self, names: &[String], now: SystemTime) -> Result<Issued, AuthError> {
        let mut seen = BTreeSet::new();
        let names: Vec<String> =
            names.iter().cloned().chain(host_names()).filter(|name| seen.insert(name.clone())).collect();
        let first = names.first().map_or("localhost", String::as_str);
        let mut params = params(first, now, self.days(SERVER_DAYS, now)?)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.subject_alt_names = names.iter().map(|name| alternative_name(name)).collect::<Result<_, _>>()?;
        self.issue(params, &self.folder.server_certificate(), &self.folder.server_key(), now)
    }

    /// Issues a certificate that stands for a user: by its common name and, where a URI can hold the name without
    /// escapes, by that. `NAME.crt` and `NAME.key` go into the folder.
    pub fn issue_client(&self, user: &UserName, days: u32, into: &Path, now: SystemTime) -> Result<Issued, AuthError> {
        if !(1..=CA_DAYS).contains(&days) {
            return Err(AuthError::Days { days, most: CA_DAYS });
        }
        create_private_folder(into)?;
        let mut params = params(user.as_str(), now, self.days(days, now)?)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if user.as_str().bytes().all(stands_in_urn) {
            params.subject_alt_names = vec![SanType::URI(format!("{USER_URN}{user}").try_into()?)];
        }
        self.issue(params, &into.join(format!("{user}.crt")), &into.join(format!("{user}.key")), now)
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        certificate_path: &Path,
        key_path: &Path,
        now: SystemTime,
    ) -> Result<Issued, AuthError> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let (key, key_made) = key_at(key_path)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let chain = format!("{}{}", certificate.pem(), self.certificate.text);
        replace_file(certificate_path, chain.as_bytes(), Readers::Everybody)?;
        Ok(Issued {
            certificate: certificate_path.into(),
            key: key_path.into(),
            key_made,
            fingerprint: Fingerprint::of(certificate.der()),
            days_left: Pem::read(certificate_path)?.days_left(now)?,
        })
    }

    /// That many days, or as many as the CA itself has left.
    fn days(&self, days: u32, now: SystemTime) -> Result<u32, AuthError> {
        let left = u32::try_from(self.certificate.days_left(now)?).unwrap_or(0);
        match days.min(left) {
            0 => Err(AuthError::AuthorityExpired { path: self.certificate.path.clone() }),
            days => Ok(days),
        }
    }
}

/// What a certificate in the folder is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// To sign others.
    Authority,
    /// The broker's own.
    Server,
    /// A user's.
    Client,
}

/// A certificate as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSummary {
    /// What it is for.
    pub purpose: Purpose,
    /// Its common name.
    pub name: String,
    /// Host names, addresses and URIs.
    pub alternatives: Vec<String>,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Its last second, in Unix time.
    pub not_after: i64,
    /// How many days it has left; negative if it has ended.
    pub days_left: i64,
    /// Its file.
    pub path: PathBuf,
}

impl CertificateSummary {
    /// All certificates in a folder: the CA's, the broker's, and those of clients by name.
    pub fn list(folder: &TlsFolder, now: SystemTime) -> Result<Vec<Self>, AuthError> {
        let mut files =
            vec![(Purpose::Authority, folder.ca_certificate()), (Purpose::Server, folder.server_certificate())];
        files.retain(|(_, path)| path.exists());
        if let Ok(entries) = std::fs::read_dir(folder.clients()) {
            let mut clients: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
            clients.retain(|path| path.extension().is_some_and(|extension| extension == "crt"));
            clients.sort();
            files.extend(clients.into_iter().map(|path| (Purpose::Client, path)));
        }
        files.into_iter().map(|(purpose, path)| Self::read(purpose, path, now)).collect()
    }

    fn read(purpose: Purpose, path: PathBuf, now: SystemTime) -> Result<Self, AuthError> {
        let pem = Pem::read(&path)?;
        let certificate = pem.parse()?;
        let name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        Ok(Self {
            purpose,
            name: name.unwrap_or_default().to_owned(),
            alternatives: pem.names()?,
            fingerprint: Fingerprint::of(&pem.der),
            not_after: certificate.validity().not_after.timestamp(),
            days_left: pem.days_left(now)?,
            path,
        })
    }
}

/// The first certificate of a PEM file.
struct Pem {
    path: PathBuf,
    text: String,
    der: Vec<u8>,
}

impl Pem {
    fn read(path: &Path) -> Result<Self, AuthError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| AuthError::Unreadable { path: path.into(), source })?;
        match x509_parser::pem::parse_x509_pem(text.as_bytes()) {
            Ok((_, pem)) if pem.label == "CERTIFICATE" => Ok(Self { path: path.into(), text, der: pem.contents }),
            _ => Err(AuthError::NoCertificate { path: path.into() }),
        }
    }

    fn parse(&self) -> Result<X509Certificate<'_>, AuthError> {
        let parsed = X509Certificate::from_der(&self.der);
        parsed.map(|(_, certificate)| certificate).map_err(|_| AuthError::NoCertificate { path: self.path.clone() })
    }

    fn days_left(&self, now: SystemTime) -> Result<i64, AuthError> {
        let left = self.parse()?.validity().not_after.timestamp() - unix_seconds(now);
        // A day that has begun counts until it is over, and one that is over counts against the certificate.
        let begun = i64::from(left > 0 && left % SECONDS_PER_DAY > 0);
        Ok(left.div_euclid(SECONDS_PER_DAY) + begun)
    }

    /// The alternative names, as they are typed.
    fn names(&self) -> Result<Vec<String>, AuthError> {
        let certificate = self.parse()?;
        let Ok(alternatives) = certificate.subject_alternative_name() else { return Ok(Vec::new()) };
        let names = alternatives.iter().flat_map(|extension| &extension.value.general_names);
        Ok(names
            .filter_map(|name| match name {
                GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
                GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
                _ => None,
            })
            .collect())
    }

    fn is_signed_by(&self, authority: &Self) -> Result<bool, AuthError> {
        let (certificate, authority) = (self.parse()?, authority.parse()?);
        Ok(certificate.issuer() == authority.subject()
            && certificate.verify_signature(Some(authority.public_key())).is_ok())
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match *bytes {
        [a, b, c, d] => Some(IpAddr::from([a, b, c, d])),
        _ => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    }
}

fn alternative_name(name: &str) -> Result<SanType, AuthError> {
    match name.parse() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) if is_host_name(name) => Ok(SanType::DnsName(name.try_into()?)),
        Err(_) => Err(AuthError::HostName(name.to_owned())),
    }
}

/// What stands for itself in a URN (RFC 8141), without `/`, which no user name has.
fn stands_in_urn(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*,;=:@".contains(&byte)
}

/// The key in that file; one is made if there is none.
fn key_at(path: &Path) -> Result<(KeyPair, Made), AuthError> {
    if path.exists() {
        return Ok((read_key(path)?, Made::Found));
    }
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    create_file(path, Zeroizing::new(key.serialize_pem()).as_bytes(), Readers::Owner)?;
    Ok((key, Made::Created))
}

fn read_key(path: &Path) -> Result<KeyPair, AuthError> {
    let bytes = PrivateFile::read(path, MAX_KEY_FILE)?;
    let no_key = || AuthError::NoKey { path: path.into() };
    KeyPair::from_pem(std::str::from_utf8(&bytes).map_err(|_| no_key())?).map_err(|_| no_key())
}

/// What all our certificates have: a name, a random serial number, and a validity that begins a day early for devices
/// whose clocks are slow.
fn params(name: &str, now: SystemTime, days: u32) -> Result<CertificateParams, AuthError> {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| AuthError::Randomness)?;
    // A serial number is positive and has no leading zero.
    serial[0] = serial[0] & 0x7f | 0x40;
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = epoch + since_epoch.saturating_sub(Duration::from_secs(SECONDS_PER_DAY.unsigned_abs()));
    params.not_after = epoch + since_epoch + Duration::from_secs(u64::from(days) * SECONDS_PER_DAY.unsigned_abs());
    Ok(params)
}

fn unix_seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

/// No key is longer: RSA of 16,384 bits takes 13 KB in PEM.
const MAX_KEY_FILE: u64 = 64 * 1024;

/// Ten years. Devices are hard to reach, and a CA that ends takes all of them with it.
const CA_DAYS: u32 = 3652;

/// Hexadecimal digits of the digest of its key in the name of a CA: enough to tell those of one house apart.
const CA_NAME_DIGITS: usize = 8;

/// The most that Apple's systems accept of a server.
const SERVER_DAYS: u32 = 825;

/// A broker that is started once a month still renews in time.
const RENEW_BELOW_DAYS: i64 = 30;

#[cfg(test)]
mod tests;
