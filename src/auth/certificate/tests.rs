//! Certificates that name a user, and all the ways of not doing so.

use super::*;
use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, SanType, SerialNumber};

struct Subject<'a> {
    common_name: Option<DnValue>,
    alternatives: &'a [SanType],
}

fn parse(subject: Subject<'_>) -> ClientCertificate {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = subject.common_name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.subject_alt_names = subject.alternatives.to_vec();
    params.serial_number = Some(SerialNumber::from_slice(&[0x0a, 0xff]));
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    ClientCertificate::from_der(certificate.der()).unwrap()
}

fn named(name: &str) -> ClientCertificate {
    parse(Subject { common_name: Some(DnValue::Utf8String(name.into())), alternatives: &[] })
}

fn with_alternatives(alternatives: &[SanType]) -> ClientCertificate {
    parse(Subject { common_name: None, alternatives })
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

#[test]
fn the_common_name_is_the_user() {
    assert_eq!(named("zoë").user(IdentityField::CommonName).unwrap().as_str(), "zoë");
    let printable = DnValue::PrintableString("ann".try_into().unwrap());
    let certificate = parse(Subject { common_name: Some(printable), alternatives: &[uri("urn:other"), dns("bob")] });
    assert_eq!(certificate.user(IdentityField::CommonName).unwrap().as_str(), "ann");
}

#[test]
fn a_uri_or_dns_name_is_the_user_byte_for_byte() {
    let certificate = with_alternatives(&[uri("urn:securemq:user:Ann"), dns("sensor-7.example")]);
    assert_eq!(certificate.user(IdentityField::SanUri).unwrap().as_str(), "Ann");
    assert_eq!(certificate.user(IdentityField::SanDns).unwrap().as_str(), "sensor-7.example");
    assert_eq!(certificate.user(IdentityField::CommonName), Err(CertificateProblem::NoName(IdentityField::CommonName)));
}

#[test]
fn a_field_that_is_there_twice_names_nobody() {
    let certificate =
        with_alternatives(&[uri("urn:securemq:user:ann"), uri("https://example.com"), dns("ann"), dns("ann")]);
    assert_eq!(certificate.user(IdentityField::SanUri), Err(CertificateProblem::ManyNames(IdentityField::SanUri)));
    assert_eq!(certificate.user(IdentityField::SanDns), Err(CertificateProblem::ManyNames(IdentityField::SanDns)));
}

#[test]
fn other_uris_and_names_with_a_meaning_are_refused() {
    for text in ["urn:securemq:USER:ann", "https://example.com/ann", "ann"] {
        assert_eq!(with_alternatives(&[uri(text)]).user(IdentityField::SanUri), Err(CertificateProblem::ForeignUri));
    }
    for text in ["urn:securemq:user:", "urn:securemq:user:a/b", "urn:securemq:user:a%2Fb", "urn:securemq:user:+"] {
        let refused = with_alternatives(&[uri(text)]).user(IdentityField::SanUri);
        assert!(matches!(refused, Err(CertificateProblem::Name(_))), "{text}: {refused:?}");
    }
    for name in ["", "#", "a/b", "ann\n", "ann\0", " ann", "an\u{202e}n", &"a".repeat(129)] {
        let refused = named(name).user(IdentityField::CommonName);
        assert!(matches!(refused, Err(CertificateProblem::Name(_))), "{name:?}: {refused:?}");
    }
}

#[test]
fn a_common_name_that_is_not_utf_8_names_nobody() {
    let utf16: Vec<u8> = "ann".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let name = DnValue::BmpString(rcgen::string::BmpString::from_utf16be(utf16).unwrap());
    let certificate = parse(Subject { common_name: Some(name), alternatives: &[] });
    assert_eq!(
        certificate.user(IdentityField::CommonName),
        Err(CertificateProblem::NotText(IdentityField::CommonName))
    );
}

#[test]
fn serial_and_fingerprint_are_written_as_hex_pairs() {
    let certificate = named("ann");
    assert_eq!(certificate.serial(), "0A:FF");
    let text = certificate.fingerprint().to_string();
    assert_eq!(text.len(), 32 * 3 - 1);
    assert_eq!(Fingerprint::parse(&text), Some(certificate.fingerprint()));
    assert_eq!(Fingerprint::parse(&text.replace(':', "").to_lowercase()), Some(certificate.fingerprint()));
    assert_eq!(Fingerprint::parse("AB:CD"), None);
}

#[test]
fn bytes_that_are_no_certificate_are_refused() {
    let good = CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap();
    let trailing = [good.der().as_ref(), b"x"].concat();
    for der in [b"".as_slice(), b"certificate", &good.der()[..100], &trailing] {
        assert_eq!(ClientCertificate::from_der(der), Err(CertificateProblem::Unreadable));
    }
}
