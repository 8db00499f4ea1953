//! What `pub` and `sub` share: where the broker is, how it is trusted, who the client is, and what it may keep.

use super::context::Context;
use super::error::CliError;
use super::login::{LoginArguments, text};
use crate::auth::TlsFolder;
use crate::bridge::{ClientSettings, Connection, LinkError, Trust, TrustFiles};
use crate::config::{CertificateFiles, ServerHost, ServerUrl, Transport};
use crate::protocol::{ProtocolVersion, QoS, Text};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};
use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

/// What a client of a broker is told on the command line.
#[derive(Debug, Args)]
pub struct ClientArguments {
    #[command(flatten)]
    place: PlaceArguments,
    #[command(flatten)]
    login: LoginArguments,
    #[command(flatten)]
    session: SessionArguments,
}

/// Where the broker is, and what vouches for it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where")]
pub struct PlaceArguments {
    /// Name or address of the broker
    #[arg(long, value_name = "HOST", default_value = "localhost")]
    host: ServerHost,
    /// Its port [default: 8883, or 1883 with --plain]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Instead of host and port [mqtts://HOST:PORT, mqtt://…, wss://HOST:PORT/mqtt, ws://…]
    #[arg(long, value_name = "URL", conflicts_with_all = ["host", "port", "plain"])]
    url: Option<ServerUrl>,
    /// Do not encrypt: everybody on the way reads along, the password included
    #[arg(long, conflicts_with_all = ["ca", "cert"])]
    plain: bool,
    /// Certificate of the CA that vouches for the broker [default: tls/ca.crt in the data folder, if it is there]
    #[arg(long, visible_alias = "cafile", value_name = "FILE", value_hint = ValueHint::FilePath)]
    ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Session")]
struct SessionArguments {
    /// Name of this client; another client of that name is disconnected [default: made up]
    #[arg(long, value_name = "ID", value_parser = text)]
    client_id: Option<Text>,
    /// Version of MQTT
    #[arg(long, value_name = "VERSION", default_value = "5", value_parser = version_parser())]
    mqtt: ProtocolVersion,
    /// How sure it should be: 0 may be lost and is never answered, 1 arrives, 2 arrives once
    #[arg(long, value_name = "QOS", default_value = "1", value_parser = qos_parser())]
    qos: QoS,
    /// Seconds of silence after which the connection is tried; 0 is never
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    keep_alive: u16,
    /// Go on with the session of this client, which is kept for that long; before MQTT 5 the broker decides how long
    #[arg(long, value_name = "SECONDS", requires = "client_id", value_parser = clap::value_parser!(u32).range(1..))]
    session_expiry: Option<u32>,
    /// Throw the session away first; only with MQTT 5, and without --session-expiry it is always so
    #[arg(long, requires = "session_expiry")]
    clean_start: bool,
}

impl ClientArguments {
    /// The version of MQTT.
    pub fn version(&self) -> ProtocolVersion {
        self.session.mqtt
    }

    /// How often a message may arrive.
    pub fn qos(&self) -> QoS {
        self.session.qos
    }

    /// Refuses options that only MQTT 5 has, where another version is asked for.
    pub fn demand_5(&self, options: &[(&str, bool)]) -> Result<(), CliError> {
        match options.iter().find(|(_, is_used)| *is_used && !self.version().has_properties()) {
            None => Ok(()),
            Some((option, _)) => Err(CliError::usage(
                format_args!("{option} needs MQTT 5, and --mqtt {} is asked for", self.version()),
                format_args!("leave out {option} or --mqtt"),
            )),
        }
    }

    /// Reads files and password, so that nothing is missing when [`Prepared::connect`] is called. Asks for the
    /// password where it must.
    pub fn prepare(&self, context: &Context, kind: ClientKind) -> Result<Prepared, CliError> {
        self.demand_5(&[("--clean-start", self.session.clean_start)])?;
        let url = self.place.url();
        let trust = self.place.trust(&self.login, context)?;
        let mut settings = ClientSettings::new(self.session.mqtt, self.client_id(kind)?);
        settings.keep_alive = self.session.keep_alive;
        settings.session_expiry_interval = self.session.session_expiry.unwrap_or(0);
        settings.clean_start = self.session.session_expiry.is_none() || self.session.clean_start;
        settings.credentials = self.login.credentials()?;
        if settings.credentials.password.is_some() && !url.transport.is_secure() && !url.host.is_loopback() {
            context.output.warning(format_args!("the password travels to {url} unencrypted"));
        }
        Ok(Prepared { url, trust, settings })
    }

    fn client_id(&self, kind: ClientKind) -> Result<Text, CliError> {
        if let Some(client_id) = &self.session.client_id {
            return Ok(client_id.clone());
        }
        let mut random = [0; 6];
        let filled = aws_lc_rs::rand::fill(&mut random);
        let name = format!("{}-{}", kind.name(), data_encoding::HEXLOWER.encode(&random));
        let name = filled.ok().and_then(|()| Text::try_from(name.as_str()).ok());
        name.ok_or_else(|| CliError::failed("the system gives no random bytes", "name the client with --client-id"))
    }
}

impl PlaceArguments {
    /// The broker.
    pub fn url(&self) -> ServerUrl {
        let transport = if self.plain { Transport::Tcp } else { Transport::Tls };
        let from_parts =
            || ServerUrl::new(transport, self.host.clone(), self.port.unwrap_or_else(|| transport.usual_port()));
        self.url.clone().unwrap_or_else(from_parts)
    }

    /// Reads what vouches for the broker, and the certificate that a client shows; nothing where there is no TLS.
    pub fn trust(&self, login: &LoginArguments, context: &Context) -> Result<Option<Trust>, CliError> {
        let url = self.url();
        let identity = login.cert.clone().zip(login.key.clone());
        let identity = identity.map(|(certificate, private_key)| CertificateFiles { certificate, private_key });
        if !url.transport.is_secure() {
            return match self.ca.is_some() || identity.is_some() {
                false => Ok(None),
                true => Err(CliError::usage(
                    format_args!("{url} is not encrypted, so that certificates have no meaning"),
                    "leave out --ca, --cert and --key, or connect to mqtts://",
                )),
            };
        }
        let usual = || Some(TlsFolder::of(context.data_dir()).ca_certificate()).filter(|path| path.exists());
        let Some(ca) = self.ca.clone().or_else(usual) else { return Ok(None) };
        Ok(Some(Trust::load(&TrustFiles { ca, identity }).map_err(LinkError::from)?))
    }
}

/// Which command a client belongs to; its made-up name says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    /// `securemq pub`.
    Publisher,
    /// `securemq sub`.
    Subscriber,
}

impl ClientKind {
    fn name(self) -> &'static str {
        match self {
            Self::Publisher => "pub",
            Self::Subscriber => "sub",
        }
    }
}

/// A client that has all it needs to connect.
pub struct Prepared {
    url: ServerUrl,
    trust: Option<Trust>,
    settings: ClientSettings,
}

impl Prepared {
    /// Connects and logs in, unless a signal says not to.
    pub async fn connect(self, interrupt: &mut Interrupt) -> Result<Connection, CliError> {
        tokio::select! {
            connected = Connection::open(&self.url, self.trust.as_ref(), self.settings) => Ok(connected?),
            () = interrupt.arrives() => Err(CliError::failed("interrupted before the broker answered", "try again")),
        }
    }
}

/// How long a farewell may take.
pub const GRACE: Duration = Duration::from_secs(5);

/// Ctrl-C and SIGTERM, which end a client cleanly.
pub struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupt {
    /// From now on signals no longer end the process.
    pub fn listen() -> Result<Self, CliError> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                CliError::failed(
                    format_args!("signals cannot be received: {error}"),
                    "raise the limit of open files (`ulimit -n`) or end other processes",
                )
            })
        };
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for one.
    pub async fn arrives(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The versions of MQTT by their numbers.
pub fn version_parser() -> impl TypedValueParser<Value = ProtocolVersion> {
    PossibleValuesParser::new(["3.1", "3.1.1", "5"]).map(|version| match version.as_str() {
        "3.1" => ProtocolVersion::V3_1,
        "3.1.1" => ProtocolVersion::V3_1_1,
        _ => ProtocolVersion::V5,
    })
}

/// The QoS by their numbers.
pub fn qos_parser() -> impl TypedValueParser<Value = QoS> {
    PossibleValuesParser::new(["0", "1", "2"]).map(|qos| match qos.as_str() {
        "0" => QoS::AtMostOnce,
        "1" => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    })
}

/// Waits until then; for ever if there is no such moment.
pub async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
