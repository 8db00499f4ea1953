//! From what went wrong below to an exit code and what to do about it: the one place that says so.

use super::error::CliError;
use crate::admin::{AdminError, HostError};
use crate::auth::AuthError;
use crate::bench::BenchError;
use crate::bridge::{ForeignServer, LinkError, TlsFailure};
use crate::protocol::ReasonCode;
use crate::server::ServerError;
use crate::store::StoreError;
use std::io::ErrorKind;

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::UserUnknown(_) => Self::not_found(&error, "`securemq user list` shows all users"),
            StoreError::RoleUnknown { .. } => {
                let text = error.to_string();
                let (message, remedy) = in_two(&text);
                Self::not_found(message, remedy)
            }
            StoreError::RuleUnknown(_) => Self::not_found(&error, "`securemq acl list` shows all rules"),
            StoreError::ClassUnknown(_) => Self::not_found(&error, "`securemq class list` shows all classes"),
            StoreError::NotInClass { .. } => Self::not_found(&error, "`securemq class show` lists its members"),
            StoreError::ApiKeyUnknown(_) => Self::not_found(&error, "`securemq apikey list` shows all keys"),
            StoreError::ClassExists(_) => {
                Self::failed(&error, "choose another name, or change this class with assign and unassign")
            }
            StoreError::UserExists(_) => {
                Self::failed(&error, "choose another name, or change this user with passwd, role, disable or enable")
            }
            StoreError::File { source, .. } => Self::failed(&error, file_remedy(source.kind())),
            StoreError::KeyTextInvalid => Self::failed(&error, "hand over the key that `serve` put into master.key"),
            _ => {
                let text = error.to_string();
                let (message, remedy) = in_two(&text);
                Self::failed(message, remedy)
            }
        }
    }
}

/// Errors about files and rows say themselves what mends them, behind their last semicolon.
fn in_two(text: &str) -> (&str, &str) {
    text.rsplit_once("; ").unwrap_or((text, "put this right and try again"))
}

fn file_remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::PermissionDenied => "run it as the user who owns the folder, or name another with --data-dir",
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
            "a file stands where a folder is expected: name another place with --data-dir"
        }
        ErrorKind::ReadOnlyFilesystem => "name a folder that can be written with --data-dir",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space, or name another folder with --data-dir",
        _ => "put this right and try again",
    }
}

impl From<AuthError> for CliError {
    fn from(error: AuthError) -> Self {
        match &error {
            AuthError::NoAuthority { .. } => Self::failed(
                &error,
                "bring the key back for this, or, if there is no authority yet: securemq cert init",
            ),
            AuthError::AuthorityExpired { .. } => Self::failed(
                &error,
                "move the folder away and make a new authority: securemq cert init; then give clients its certificate",
            ),
            AuthError::NoCertificate { .. } | AuthError::NoKey { .. } => Self::failed(
                &error,
                "restore it from a backup; server.crt and server.key are made again when both are removed",
            ),
            AuthError::NotAPair { .. } => Self::failed(&error, "bring back the file that belongs to the other one"),
            AuthError::HostName(_) => {
                Self::usage(&error, "give names like broker.example.com or addresses like 192.0.2.7")
            }
            AuthError::Days { .. } => Self::usage(&error, "give another number with --days"),
            AuthError::Randomness
            | AuthError::PasswordCost { .. }
            | AuthError::StoredHash
            | AuthError::Hash(_)
            | AuthError::Thread(_)
            | AuthError::Unreadable { .. }
            | AuthError::Unwritable { .. }
            | AuthError::Key(_)
            | AuthError::Issue(_) => Self::failed(&error, "put this right and try again"),
        }
    }
}

impl From<ServerError> for CliError {
    fn from(error: ServerError) -> Self {
        let error = match error {
            ServerError::Store(error) => return error.into(),
            ServerError::Auth(error) => return error.into(),
            other => other,
        };
        let remedy = match &error {
            ServerError::Bind { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => {
                "end the program that listens there, or choose another port with --listen"
            }
            ServerError::Bind { .. } => "choose another address or port with --listen, or in the configuration",
            ServerError::Worker(_) => "raise the limits of processes and open files (`ulimit -u`, `ulimit -n`)",
            ServerError::Locked { .. } => "stop the other broker, or name another folder with --data-dir",
            ServerError::Lock { .. } => "make the data folder writable for this user",
            ServerError::NoSuchRole(_) => "set auth.anonymous_role to Admin, Teacher, Student or a role that was added",
            ServerError::Begin(_) | ServerError::Store(_) | ServerError::Auth(_) => "put this right and start again",
            ServerError::Tls(_) => {
                "put the files right; the broker makes server.crt and server.key in tls/ when both are missing"
            }
        };
        Self::failed(&error, remedy)
    }
}

impl From<AdminError> for CliError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Store(error) => error.into(),
            AdminError::Auth(error) => error.into(),
            AdminError::NotInForce => Self::failed(
                &error,
                "do nothing again: a busy broker goes by it as soon as it can; if it prints that it cannot, restart it",
            ),
            error => Self::failed(&error, "put this right and try again"),
        }
    }
}

impl From<HostError> for CliError {
    fn from(error: HostError) -> Self {
        let remedy = match &error {
            HostError::Bind { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => {
                "end the program that listens there, or choose another port with --port"
            }
            HostError::Bind { .. } => "choose another address with --listen, or another port with --port",
            HostError::Socket { .. } => {
                "make the data folder writable for this user, and its path shorter than 100 bytes"
            }
            HostError::PlainBeyondLoopback(_) => "leave web.plain out: the pages are then served over TLS",
        };
        Self::failed(&error, remedy)
    }
}

impl From<LinkError> for CliError {
    fn from(error: LinkError) -> Self {
        let remedy = match &error {
            LinkError::Files(_) => "put the file right, or name another with --ca, --cert or --key",
            LinkError::NoTrust(_) => "copy tls/ca.crt from the broker's data folder and name it with --ca",
            LinkError::NoServerName(_) | LinkError::NameUnknown { .. } => "name the broker with --host",
            LinkError::Unreachable { .. } | LinkError::TooSlow(_) => {
                "check --host and --port, and that the broker runs: `securemq serve` shows where it listens"
            }
            LinkError::Tls(failure) => return denied_if(is_refusal(failure), &error, tls_remedy(failure)),
            LinkError::NoWebSocket(_) => {
                "name a WebSocket listener of the broker with its path: --url wss://HOST:8084/mqtt"
            }
            LinkError::Foreign(ForeignServer::Tls) => "leave out --plain",
            LinkError::Foreign(ForeignServer::Http) => {
                "connect to the port for MQTT, or to the one for WebSocket with --url wss://HOST:8084/mqtt"
            }
            LinkError::Foreign(ForeignServer::Ssh) => "connect to the port of the broker with --port",
            LinkError::NoAnswer => {
                "check that the port is for MQTT, with TLS unless --plain is given; the broker's log tells more"
            }
            LinkError::Refused(connack) => {
                return denied_if(is_denial(connack.reason), &error, refusal_remedy(connack.reason));
            }
            LinkError::Disconnected(disconnect) => match disconnect.reason {
                ReasonCode::SessionTakenOver => "use another --client-id: one client at a time may have it",
                ReasonCode::NotAuthorized | ReasonCode::AdministrativeAction => {
                    return Self::denied(&error, "the broker's log tells more: `securemq logs`");
                }
                _ => "the broker's log tells more: `securemq logs`",
            },
            LinkError::Closed | LinkError::Lost(_) | LinkError::Silent => {
                "check the network and that the broker runs, and try again"
            }
            LinkError::Violation(_) => "try another version with --mqtt, and report it to who made the server",
            LinkError::TooLarge(_) => "send less, or raise limits.max_packet_size of the broker",
        };
        Self::failed(&error, remedy)
    }
}

impl From<BenchError> for CliError {
    fn from(error: BenchError) -> Self {
        let remedy = match error {
            BenchError::Link(error) => return error.into(),
            BenchError::SubscriptionRefused { .. } => {
                return Self::denied(&error, "log in as a user who may, or name topics that it may with --topic");
            }
            BenchError::ForeignMessage => "name topics that nobody else uses with --topic",
            BenchError::Missing { .. } => "allow the broker more retained messages, or measure fewer with --amount",
            BenchError::NoProcess { .. } => "name the process of a broker on this machine with --pid, or leave it out",
            BenchError::NoPerf(_) | BenchError::NoCalls(_) => {
                "install perf (Debian: linux-perf) and run it as root, or leave out --calls"
            }
            BenchError::NoTimer(_) | BenchError::Thread(_) => {
                "raise the limits of processes and open files (`ulimit -u`, `ulimit -n`)"
            }
        };
        Self::failed(&error, remedy)
    }
}

fn denied_if(is_denied: bool, error: &LinkError, remedy: &str) -> CliError {
    if is_denied { CliError::denied(error, remedy) } else { CliError::failed(error, remedy) }
}

/// Whether a server refuses who the client is.
fn is_denial(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::BadUserNameOrPassword
            | ReasonCode::NotAuthorized
            | ReasonCode::Banned
            | ReasonCode::BadAuthenticationMethod
    )
}

fn refusal_remedy(reason: ReasonCode) -> &'static str {
    match reason {
        ReasonCode::BadUserNameOrPassword => "check --user and the password; `securemq user passwd NAME` sets another",
        ReasonCode::NotAuthorized => "log in with --user or --cert; `securemq user list` shows who may",
        ReasonCode::UnsupportedProtocolVersion => "try another version with --mqtt",
        ReasonCode::ClientIdentifierNotValid => "name the client with another --client-id",
        ReasonCode::ServerBusy | ReasonCode::ServerUnavailable | ReasonCode::ConnectionRateExceeded => {
            "wait a little and try again"
        }
        _ => "the broker's log tells more: `securemq logs --failed`",
    }
}

fn is_refusal(failure: &TlsFailure) -> bool {
    matches!(failure, TlsFailure::CertificateDemanded | TlsFailure::CertificateRefused(_))
}

fn tls_remedy(failure: &TlsFailure) -> &'static str {
    match failure {
        TlsFailure::Untrusted => "name the right CA certificate with --ca: tls/ca.crt in the data folder of the broker",
        TlsFailure::OtherName(_) => {
            "connect to one of these with --host, or `securemq cert issue --server NAME` on the broker"
        }
        TlsFailure::OutOfDate => "check the clocks, or `securemq cert issue --server NAME` on the broker",
        TlsFailure::NoTls => "check --port: 8883 is usual with TLS; for a port without it give --plain",
        TlsFailure::CertificateDemanded => "show one with --cert and --key; `securemq cert issue --user NAME` makes it",
        TlsFailure::CertificateRefused(_) => "show another with --cert and --key, of the CA that the broker trusts",
        TlsFailure::Certificate(_) | TlsFailure::Other(_) => "the broker's log may tell more: `securemq logs --failed`",
    }
}
