//! What the CA makes, keeps, renews and refuses.

use super::*;
use crate::auth::{ClientCertificate, IdentityField};
use std::fs;
use std::os::unix::fs::MetadataExt;

struct Fixture {
    _dir: tempfile::TempDir,
    folder: TlsFolder,
    now: SystemTime,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = TlsFolder::of(dir.path());
        Self { _dir: dir, folder, now: SystemTime::now() }
    }

    fn days_later(&self, days: u64) -> SystemTime {
        self.now + Duration::from_secs(days * 24 * 60 * 60)
    }

    fn client(&self, authority: &Authority, name: &str) -> Issued {
        authority.issue_client(&UserName::new(name).unwrap(), 365, &self.folder.clients(), self.now).unwrap()
    }
}

fn certificate(issued: &Issued) -> ClientCertificate {
    ClientCertificate::from_der(&Pem::read(&issued.certificate).unwrap().der).unwrap()
}

#[test]
fn the_first_start_makes_a_ca_and_a_server_certificate_and_the_second_finds_them() {
    let fixture = Fixture::new();
    let first = prepare(&fixture.folder, fixture.now).unwrap();
    assert_eq!((first.ca, first.server, first.server_days_left), (Made::Created, Made::Created, 825));
    let second = prepare(&fixture.folder, fixture.days_later(1)).unwrap();
    assert_eq!((second.ca, second.server, second.server_days_left), (Made::Found, Made::Found, 824));
    assert_eq!(first.ca_fingerprint, second.ca_fingerprint);
    for key in [fixture.folder.ca_key(), fixture.folder.server_key()] {
        assert_eq!(fs::metadata(key).unwrap().mode() & 0o777, 0o600);
    }
}

#[test]
fn the_ca_may_sign_and_nothing_else_may() {
    let fixture = Fixture::new();
    prepare(&fixture.folder, fixture.now).unwrap();
    let ca = Pem::read(&fixture.folder.ca_certificate()).unwrap();
    let ca_parsed = ca.parse().unwrap();
    assert!(ca_parsed.is_ca());
    assert_eq!(ca_parsed.basic_constraints().unwrap().unwrap().value.path_len_constraint, Some(0));
    assert!(ca_parsed.key_usage().unwrap().unwrap().value.key_cert_sign());
    assert!(ca_parsed.subject().to_string().starts_with("CN=securemq CA "));
    assert_eq!(ca.days_left(fixture.now).unwrap(), 3652);

    let server = Pem::read(&fixture.folder.server_certificate()).unwrap();
    assert!(server.is_signed_by(&ca).unwrap());
    let server = server.parse().unwrap();
    assert!(!server.is_ca());
    let usage = server.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth);
    assert!(server.raw_serial().len() == 16 && server.raw_serial()[0] < 0x80);
}

#[test]
fn a_ca_whose_certificate_is_made_again_still_signs_for_what_it_issued_before() {
    let fixture = Fixture::new();
    prepare(&fixture.folder, fixture.now).unwrap();
    let server = Pem::read(&fixture.folder.server_certificate()).unwrap();
    fs::remove_file(fixture.folder.ca_certificate()).unwrap();
    assert_eq!(prepare(&fixture.folder, fixture.now).unwrap().ca, Made::Created);
    let ca = Pem::read(&fixture.folder.ca_certificate()).unwrap();
    assert!(server.is_signed_by(&ca).unwrap());
    assert_eq!(server.parse().unwrap().issuer(), ca.parse().unwrap().subject());
}

#[test]
fn the_server_certificate_is_for_every_name_of_the_machine_and_those_asked_for() {
    let fixture = Fixture::new();
    prepare(&fixture.folder, fixture.now).unwrap();
    let authority = Authority::open(&fixture.folder).unwrap();
    let key = fs::read(fixture.folder.server_key()).unwrap();
    let names = ["broker.example.com".to_owned(), "192.0.2.77".to_owned()];
    let issued = authority.issue_server(&names, fixture.now).unwrap();
    assert_eq!(issued.key_made, Made::Found);
    assert_eq!(fs::read(fixture.folder.server_key()).unwrap(), key, "a key is never overwritten");
    let listed = Pem::read(&issued.certificate).unwrap().names().unwrap();
    for name in ["broker.example.com", "192.0.2.77", "localhost", "127.0.0.1", "::1"] {
        assert!(listed.iter().any(|listed| listed == name), "{name} in {listed:?}");
    }
    let refused = authority.issue_server(&["no name".to_owned()], fixture.now).unwrap_err();
    assert!(matches!(refused, AuthError::HostName(name) if name == "no name"));
}

#[test]
fn a_server_certificate_that_ends_soon_is_renewed_with_its_names() {
    let fixture = Fixture::new();
    prepare(&fixture.folder, fixture.now).unwrap();
    let authority = Authority::open(&fixture.folder).unwrap();
    authority.issue_server(&["broker.example.com".to_owned()], fixture.now).unwrap();

    let kept = prepare(&fixture.folder, fixture.days_later(825 - 30)).unwrap();
    assert_eq!((kept.server, kept.server_days_left), (Made::Found, 30));
    let renewed = prepare(&fixture.folder, fixture.days_later(825 - 29)).unwrap();
    assert_eq!((renewed.server, renewed.server_days_left), (Made::Renewed, 825));
    let names = Pem::read(&fixture.folder.server_certificate()).unwrap().names().unwrap();
    assert_eq!(names[0], "broker.example.com");
}

#[test]
fn a_certificate_of_another_ca_is_left_alone() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    prepare(&fixture.folder, fixture.now).unwrap();
    prepare(&other.folder, other.now).unwrap();
    fs::copy(other.folder.server_certificate(), fixture.folder.server_certificate()).unwrap();
    let prepared = prepare(&fixture.folder, fixture.days_later(820)).unwrap();
    assert_eq!((prepared.server, prepared.server_days_left), (Made::Found, 5));
}

#[test]
fn a_broker_whose_ca_key_is_kept_elsewhere_starts_and_issues_nothing() {
    let fixture = Fixture::new();
    prepare(&fixture.folder, fixture.now).unwrap();
    fs::remove_file(fixture.folder.ca_key()).unwrap();
    let prepared = prepare(&fixture.folder, fixture.days_later(820)).unwrap();
    assert_eq!((prepared.server, prepared.server_days_left), (Made::Found, 5));
    assert!(matches!(Authority::open(&fixture.folder), Err(AuthError::NoAuthority { .. })));
}

#[test]
fn a_crash_between_key_and_certificate_is_made_good() {
    let fixture = Fixture::new();
    prepare(&fixture.folder, fixture.now).unwrap();
    let keys = [fixture.folder.ca_key(), fixture.folder.server_key()].map(|path| fs::read(path).unwrap());
    fs::remove_file(fixture.folder.ca_certificate()).unwrap();
    fs::remove_file(fixture.folder.server_certificate()).unwrap();
    let prepared = prepare(&fixture.folder, fixture.now).unwrap();
    assert_eq!((prepared.ca, prepared.server), (Made::Created, Made::Created));
    assert_eq!([fixture.folder.ca_key(), fixture.folder.server_key()].map(|path| fs::read(path).unwrap()), keys);
}

#[test]
fn a_client_certificate_names_its_user_and_is_for_clients_only() {
    let fixture = Fixture::new();
    prepare(&fixture.folder, fixture.now).unwrap();
    let authority = Authority::open(&fixture.folder).unwrap();
    for name in ["ann", "sensor-7", "zoë", "..", "with space"] {
        let issued = fixture.client(&authority, name);
        assert_eq!(issued.certificate.parent(), Some(fixture.folder.clients().as_path()));
        let parsed = certificate(&issued);
        assert_eq!(parsed.user(IdentityField::CommonName).unwrap().as_str(), name);
        assert_eq!(parsed.fingerprint(), issued.fingerprint);
        let by_uri = parsed.user(IdentityField::SanUri).ok();
        let expected = (!matches!(name, "zoë" | "with space")).then_some(name);
        assert_eq!(by_uri.as_ref().map(UserName::as_str), expected);
        assert_eq!(fs::metadata(&issued.key).unwrap().mode() & 0o777, 0o600);
        assert_eq!(issued.days_left, 365);

        let pem = Pem::read(&issued.certificate).unwrap();
        let parsed = pem.parse().unwrap();
        let usage = parsed.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth);
    }
}

#[test]
fn a_client_certificate_is_renewed_for_the_same_key() {
    let fixture = Fixture::new();
    prepare(&fixture.folder, fixture.now).unwrap();
    let authority = Authority::open(&fixture.folder).unwrap();
    let (first, second) = (fixture.client(&authority, "ann"), fixture.client(&authority, "ann"));
    assert_eq!((first.key_made, second.key_made), (Made::Created, Made::Found));
    assert_ne!(first.fingerprint, second.fingerprint);
}

#[test]
fn no_certificate_outlives_its_ca() {
    let fixture = Fixture::new();
    prepare(&fixture.folder, fixture.now).unwrap();
    let authority = Authority::open(&fixture.folder).unwrap();
    let user = UserName::new("ann").unwrap();
    let issue = |days, now| authority.issue_client(&user, days, &fixture.folder.clients(), now);
    assert_eq!(issue(365, fixture.days_later(3642)).unwrap().days_left, 10);
    assert!(matches!(issue(365, fixture.days_later(3652)), Err(AuthError::AuthorityExpired { .. })));
    assert!(matches!(issue(0, fixture.now), Err(AuthError::Days { days: 0, .. })));
    assert!(matches!(issue(3653, fixture.now), Err(AuthError::Days { .. })));
}

#[test]
fn files_that_do_not_fit_are_named() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    prepare(&fixture.folder, fixture.now).unwrap();
    prepare(&other.folder, other.now).unwrap();
    fs::copy(other.folder.ca_key(), fixture.folder.ca_key()).unwrap();
    assert!(matches!(Authority::open(&fixture.folder), Err(AuthError::NotAPair { .. })));
    fs::write(fixture.folder.ca_key(), "nonsense").unwrap();
    assert!(matches!(Authority::open(&fixture.folder), Err(AuthError::NoKey { .. })));
    fs::write(fixture.folder.server_certificate(), "nonsense").unwrap();
    let refused = prepare(&fixture.folder, fixture.now).unwrap_err();
    assert!(refused.to_string().contains("server.crt holds no certificate"), "{refused}");
}

#[test]
fn certificates_are_listed_with_the_days_they_have_left() {
    let fixture = Fixture::new();
    assert_eq!(CertificateSummary::list(&fixture.folder, fixture.now).unwrap(), []);
    prepare(&fixture.folder, fixture.now).unwrap();
    let authority = Authority::open(&fixture.folder).unwrap();
    for name in ["bob", "ann"] {
        fixture.client(&authority, name);
    }
    let listed = CertificateSummary::list(&fixture.folder, fixture.days_later(1)).unwrap();
    let shown: Vec<_> = listed.iter().map(|summary| (summary.purpose, summary.days_left)).collect();
    assert_eq!(
        shown,
        [(Purpose::Authority, 3651), (Purpose::Server, 824), (Purpose::Client, 364), (Purpose::Client, 364)]
    );
    assert_eq!((listed[2].name.as_str(), listed[3].name.as_str()), ("ann", "bob"));
    assert_eq!(listed[0].fingerprint, authority.fingerprint());
}
