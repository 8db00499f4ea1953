//! The table of who is let in, and how long the answer takes.

use super::*;
use crate::auth::{hash_password, needs_rehash};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use secrecy::SecretString;
use std::time::Instant;

fn settings() -> AuthSettings {
    AuthSettings { cost: PasswordCost::LEAST, threads: 1, queue: 100, ..AuthSettings::default() }
}

fn hash(password: &str) -> Arc<str> {
    hash_password(&SecretString::from(password), PasswordCost::LEAST).unwrap().into()
}

fn user(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

fn account(name: &str, password: &str) -> Account {
    Account { name: user(name), enabled: true, password_hash: Some(hash(password)), fingerprint: None }
}

fn directory() -> Directory {
    Directory::new([
        account("ann", "secret of ann"),
        Account { enabled: false, ..account("dis", "secret of dis") },
        Account { password_hash: None, ..account("machine", "") },
    ])
}

fn authenticator() -> Authenticator {
    Authenticator::start(&settings(), directory()).unwrap()
}

fn certificate(name: &str) -> ClientCertificate {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    ClientCertificate::from_der(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der()).unwrap()
}

fn nothing(method: Method) -> LoginRequest {
    LoginRequest {
        method,
        certificate: None,
        user_name: None,
        password: None,
        address: Address::Network("192.0.2.1:1883".parse().unwrap()),
        anonymous_role: None,
    }
}

fn password(name: &str, password: &str) -> LoginRequest {
    LoginRequest {
        user_name: Some(Text::try_from(name).unwrap()),
        password: Some(Bytes::copy_from_slice(password.as_bytes())),
        ..nothing(Method::Password)
    }
}

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

async fn login(authenticator: &Authenticator, request: LoginRequest) -> Result<Principal, (Reason, Reason)> {
    let login = authenticator.authenticate(NOW, request).await;
    login.map(|login| login.principal).map_err(|refused| (refused.peer, refused.log))
}

fn ann() -> Result<Principal, (Reason, Reason)> {
    Ok(Principal::User(user("ann")))
}

#[tokio::test]
async fn the_right_password_lets_in_again_and_again() {
    let authenticator = authenticator();
    for _ in 0..100 {
        assert_eq!(login(&authenticator, password("ann", "secret of ann")).await, ann());
    }
}

#[tokio::test]
async fn unknown_disabled_and_mistaken_look_alike_to_the_peer() {
    let authenticator = authenticator();
    let bad = Reason::BadUserNameOrPassword;
    let cases = [
        (password("ann", "secret of dis"), bad),
        (password("ann", ""), bad),
        (password("Ann", "secret of ann"), bad),
        (password("bob", "secret of ann"), bad),
        (password("", "secret of ann"), bad),
        (password("a/n", "secret of ann"), bad),
        (password("machine", ""), bad),
        (password("dis", "wrong"), bad),
        (password("dis", "secret of dis"), Reason::UserDisabled),
        (LoginRequest { password: None, ..password("ann", "") }, bad),
        (LoginRequest { user_name: None, ..password("ann", "secret of ann") }, bad),
    ];
    for (request, log) in cases {
        let shown = format!("{request:?}");
        assert_eq!(login(&authenticator, request).await, Err((bad, log)), "{shown}");
    }
}

#[tokio::test]
async fn an_unknown_user_takes_as_long_as_a_known_one() {
    let cost = PasswordCost::new(8 * 1024, 2).unwrap();
    let stored = hash_password(&SecretString::from("secret"), cost).unwrap();
    let accounts = ["ann", "dis"].map(|name| Account {
        enabled: name == "ann",
        password_hash: Some(stored.as_str().into()),
        ..account(name, "")
    });
    let settings = AuthSettings { cost, ..settings() };
    let authenticator = Authenticator::start(&settings, Directory::new(accounts)).unwrap();
    let mut fastest = [Duration::MAX; 4];
    for round in 0..3 {
        let wrong = format!("wrong {round}");
        let cases = [("ann", wrong.as_str()), ("nobody", &wrong), ("dis", &wrong), ("dis", "secret")];
        for (fastest, (name, guess)) in fastest.iter_mut().zip(cases) {
            let start = Instant::now();
            login(&authenticator, password(name, guess)).await.unwrap_err();
            *fastest = start.elapsed().min(*fastest);
        }
    }
    let (least, most) = (fastest.iter().min().unwrap(), fastest.iter().max().unwrap());
    assert!(*most < *least * 4, "{fastest:?}");
}

/// Who was let in from here before is checked even then: a guess must not show that, neither by its answer nor by its time.
#[tokio::test]
async fn where_too_much_was_guessed_a_known_user_is_told_no_more_than_an_unknown_one() {
    let cost = PasswordCost::new(8 * 1024, 2).unwrap();
    let stored: Arc<str> = hash_password(&SecretString::from("secret"), cost).unwrap().into();
    let ann_only = Directory::new([Account { password_hash: Some(stored), ..account("ann", "") }]);
    let address_allowance = Allowance { burst: 5, refill: Duration::from_secs(1000) };
    let settings = AuthSettings { cost, address_allowance, ..settings() };
    let authenticator = Authenticator::start(&settings, ann_only).unwrap();
    assert_eq!(login(&authenticator, password("ann", "secret")).await, ann());
    for number in 0..5 {
        login(&authenticator, password(&format!("nobody{number}"), "guess")).await.unwrap_err();
    }
    let throttled = Err((Reason::LoginThrottled, Reason::LoginThrottled));
    let mut fastest = [Duration::MAX; 2];
    for round in 0..4 {
        for (fastest, name) in fastest.iter_mut().zip(["ann", "somebody"]) {
            let start = Instant::now();
            assert_eq!(login(&authenticator, password(name, &format!("wrong {round}"))).await, throttled, "{name}");
            *fastest = start.elapsed().min(*fastest);
        }
    }
    assert!(fastest[0] < fastest[1] * 4 && fastest[1] < fastest[0] * 4, "{fastest:?}");
    assert_eq!(login(&authenticator, password("ann", "secret")).await, ann(), "the right password is let in");
}

#[tokio::test]
async fn without_credentials_one_is_anonymous_where_that_is_allowed() {
    let authenticator = authenticator();
    let student = RoleName::new("Student").unwrap();
    for method in [Method::Password, Method::PasswordOrCertificate] {
        let refused = Err((Reason::AnonymousRefused, Reason::AnonymousRefused));
        assert_eq!(login(&authenticator, nothing(method)).await, refused);
        let request = LoginRequest { anonymous_role: Some(student.clone()), ..nothing(method) };
        assert_eq!(login(&authenticator, request).await, Ok(Principal::Anonymous(student.clone())));
    }
    for method in [Method::Certificate, Method::PasswordAndCertificate] {
        let request = LoginRequest { anonymous_role: Some(student.clone()), ..nothing(method) };
        let refused = Err((Reason::CertificateMissing, Reason::CertificateMissing));
        assert_eq!(login(&authenticator, request).await, refused, "{method:?}");
    }
    let wrong = LoginRequest { anonymous_role: Some(student), ..password("ann", "wrong") };
    assert!(login(&authenticator, wrong).await.is_err(), "a failed login is not made anonymous");
}

#[tokio::test]
async fn a_certificate_is_as_good_as_its_user() {
    let authenticator = authenticator();
    let with = |method, name| LoginRequest { certificate: Some(certificate(name)), ..nothing(method) };
    let unknown = Reason::CertificateUnknown;
    for method in [Method::Certificate, Method::PasswordOrCertificate] {
        assert_eq!(login(&authenticator, with(method, "ann")).await, ann());
        assert_eq!(login(&authenticator, with(method, "machine")).await, Ok(Principal::User(user("machine"))));
        assert_eq!(login(&authenticator, with(method, "bob")).await, Err((unknown, unknown)));
        assert_eq!(login(&authenticator, with(method, "a/n")).await, Err((unknown, unknown)));
        assert_eq!(login(&authenticator, with(method, "dis")).await, Err((unknown, Reason::UserDisabled)));
    }
    let ignored = LoginRequest { certificate: Some(certificate("ann")), ..nothing(Method::Password) };
    assert!(login(&authenticator, ignored).await.is_err(), "the listener takes passwords only");
}

#[tokio::test]
async fn a_certificate_never_combines_with_another_name() {
    let authenticator = authenticator();
    let mismatch = Err((Reason::CertificateUserMismatch, Reason::CertificateUserMismatch));
    for method in [Method::Certificate, Method::PasswordOrCertificate, Method::PasswordAndCertificate] {
        let request = |certificate_of| LoginRequest {
            method,
            certificate: Some(certificate(certificate_of)),
            ..password("ann", "secret of ann")
        };
        assert_eq!(login(&authenticator, request("ann")).await, ann(), "{method:?}");
        assert_eq!(login(&authenticator, request("machine")).await, mismatch, "{method:?}");
        assert_eq!(login(&authenticator, request("ANN")).await, mismatch, "{method:?}");
    }
}

#[tokio::test]
async fn where_both_are_asked_for_one_is_not_enough() {
    let authenticator = authenticator();
    let both = |secret| LoginRequest {
        method: Method::PasswordAndCertificate,
        certificate: Some(certificate("ann")),
        ..password("ann", secret)
    };
    let bad = Err((Reason::BadUserNameOrPassword, Reason::BadUserNameOrPassword));
    assert_eq!(login(&authenticator, both("wrong")).await, bad);
    assert_eq!(login(&authenticator, LoginRequest { password: None, ..both("") }).await, bad);
    assert_eq!(login(&authenticator, LoginRequest { user_name: None, ..both("secret of ann") }).await, ann());
    let missing = Err((Reason::CertificateMissing, Reason::CertificateMissing));
    assert_eq!(login(&authenticator, LoginRequest { certificate: None, ..both("secret of ann") }).await, missing);
}

#[tokio::test]
async fn a_pinned_certificate_is_the_only_one() {
    let (pinned, other) = (certificate("ann"), certificate("ann"));
    let account = Account { fingerprint: Some(pinned.fingerprint()), ..account("ann", "secret") };
    let authenticator = Authenticator::start(&settings(), Directory::new([account])).unwrap();
    let with = |certificate| LoginRequest { certificate: Some(certificate), ..nothing(Method::Certificate) };
    assert_eq!(login(&authenticator, with(pinned)).await, ann());
    let refused = authenticator.authenticate(NOW, with(other.clone())).await.unwrap_err();
    assert_eq!(refused.log, Reason::CertificateUnknown);
    assert!(refused.detail.unwrap().contains(&other.fingerprint().to_string()));
}

#[tokio::test]
async fn guessing_ends_in_a_wait_from_one_address_only() {
    let authenticator = authenticator();
    let mut refusals = Vec::new();
    for guess in 0..12 {
        refusals.push(login(&authenticator, password("ann", &format!("guess {guess}"))).await.unwrap_err().0);
    }
    assert_eq!(refusals[..10], [Reason::BadUserNameOrPassword; 10]);
    assert_eq!(refusals[10..], [Reason::LoginThrottled; 2]);
    let throttled = Err((Reason::LoginThrottled, Reason::LoginThrottled));
    assert_eq!(login(&authenticator, password("ann", "secret of ann")).await, throttled);
    let elsewhere = Address::Network("192.0.2.2:1883".parse().unwrap());
    let request = LoginRequest { address: elsewhere, ..password("ann", "secret of ann") };
    assert_eq!(login(&authenticator, request).await, ann());
    let later = authenticator.authenticate(NOW.after_secs(7), password("ann", "secret of ann")).await;
    assert!(later.is_ok());
}

/// A password that was verified lately is compared without a hash, but not without counting: or the cache would answer
/// a million guesses a second.
#[tokio::test]
async fn the_cache_does_not_answer_guesses() {
    let authenticator = authenticator();
    login(&authenticator, password("ann", "secret of ann")).await.unwrap();
    for guess in 0..10 {
        login(&authenticator, password("ann", &format!("guess {guess}"))).await.unwrap_err();
    }
    let throttled = Err((Reason::LoginThrottled, Reason::LoginThrottled));
    assert_eq!(login(&authenticator, password("ann", "secret of ann")).await, throttled);
}

#[tokio::test]
async fn a_fleet_with_one_account_reconnects_at_once() {
    let authenticator = Arc::new(authenticator());
    let logins: Vec<_> = (0..500)
        .map(|_| {
            let authenticator = Arc::clone(&authenticator);
            tokio::spawn(async move { login(&authenticator, password("ann", "secret of ann")).await })
        })
        .collect();
    for login in logins {
        assert_eq!(login.await.unwrap(), ann());
    }
}

#[tokio::test]
async fn a_full_queue_is_told_at_once() {
    let authenticator = Authenticator::start(&AuthSettings { queue: 0, ..settings() }, directory()).unwrap();
    let busy = Err((Reason::LoginBusy, Reason::LoginBusy));
    for _ in 0..100 {
        assert_eq!(login(&authenticator, password("ann", "secret of ann")).await, busy);
    }
}

#[tokio::test]
async fn changes_of_an_account_hold_at_once() {
    let authenticator = authenticator();
    login(&authenticator, password("ann", "secret of ann")).await.unwrap();

    authenticator.replace_directory(Directory::new([account("ann", "new secret")]));
    assert!(login(&authenticator, password("ann", "secret of ann")).await.is_err());
    assert_eq!(login(&authenticator, password("ann", "new secret")).await, ann());

    authenticator.replace_directory(Directory::new([Account { enabled: false, ..account("ann", "new secret") }]));
    let disabled = Err((Reason::BadUserNameOrPassword, Reason::UserDisabled));
    assert_eq!(login(&authenticator, password("ann", "new secret")).await, disabled);

    authenticator.replace_directory(Directory::default());
    assert!(login(&authenticator, password("ann", "new secret")).await.is_err());
}

#[tokio::test]
async fn an_account_that_is_disabled_while_its_password_is_checked_is_not_let_in() {
    let cost = PasswordCost::new(64 * 1024, 2).unwrap();
    let stored: Arc<str> = hash_password(&SecretString::from("secret"), cost).unwrap().into();
    let ann = |enabled| Account { enabled, password_hash: Some(Arc::clone(&stored)), ..account("ann", "") };
    let settings = AuthSettings { cost, ..settings() };
    let authenticator = Authenticator::start(&settings, Directory::new([ann(true)])).unwrap();
    let (login, ()) = tokio::join!(login(&authenticator, password("ann", "secret")), async {
        authenticator.replace_directory(Directory::new([ann(false)]));
    });
    assert_eq!(login, Err((Reason::BadUserNameOrPassword, Reason::UserDisabled)));
}

#[tokio::test]
async fn a_hash_of_outdated_cost_comes_back_as_one_of_todays() {
    let cost = PasswordCost::new(16, 1).unwrap();
    let authenticator = Authenticator::start(&AuthSettings { cost, ..settings() }, directory()).unwrap();
    let login = authenticator.authenticate(NOW, password("ann", "secret of ann")).await.unwrap();
    let rehash = login.rehash.unwrap();
    assert_eq!(rehash.user.as_str(), "ann");
    assert!(needs_rehash(&rehash.old, cost));
    assert!(!needs_rehash(&rehash.new, cost));

    let renewed = Account { password_hash: Some(rehash.new.into()), ..account("ann", "") };
    authenticator.replace_directory(Directory::new([renewed]));
    let again = authenticator.authenticate(NOW, password("ann", "secret of ann")).await.unwrap();
    assert_eq!(again.rehash.map(|rehash| rehash.new), None);
}

#[test]
fn nothing_secret_is_shown_by_debug() {
    let shown = format!("{:?} {:?}", password("ann", "secret of ann"), account("ann", "secret of ann"));
    assert!(!shown.contains("secret of ann") && !shown.contains("argon2"), "{shown}");
}
