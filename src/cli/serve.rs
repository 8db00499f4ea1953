//! `securemq serve`: puts the program together, says what it made, and runs until it is told to stop.

use super::console::Console;
use super::context::Context;
use super::damage::{OnDamage, mend, record_damage, salvage};
use super::database::{Opened, open};
use super::error::CliError;
use super::output::{Output, start_tracing};
use super::signals::Signals;
use crate::auth::{Made, PasswordCost, Prepared, TlsFolder, generate_password, hash_password, prepare};
use crate::broker::{RoleName, UserName};
use crate::config::{ListenUrl, WebSettings};
use crate::server::{Broker, ServerError};
use crate::store::{Database, StoreError, StoredUser, UnixMillis};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use std::time::{Duration, SystemTime};

/// Run the broker
#[derive(Debug, Args)]
#[command(after_help = "\
With no configuration, database and certificates it makes them and listens with TLS on port 8883.
SIGTERM and Ctrl-C stop it cleanly; SIGHUP reads the certificate files again.

  securemq serve
  securemq serve --listen mqtts://0.0.0.0:8883 --listen mqtt://127.0.0.1:1883
  securemq serve --listen wss://0.0.0.0:8084/mqtt --data-dir /var/lib/securemq")]
pub struct ServeCommand {
    /// Listen here instead of where the configuration says; may be repeated [mqtts://0.0.0.0:8883, mqtt://…, ws://…/mqtt, wss://…/mqtt]
    #[arg(long, value_name = "URL")]
    listen: Vec<ListenUrl>,
    /// Open the web pages on this port of this machine, too; 0 is any free one
    #[arg(long, value_name = "PORT")]
    web_port: Option<u16>,
    /// Refuse a damaged database instead of salvaging what verifies
    #[arg(long)]
    strict: bool,
}

/// The first account of a new database, whose password was made for it.
struct FirstAdmin {
    name: UserName,
    password: SecretString,
}

impl ServeCommand {
    /// The listeners that replace the configured ones.
    pub fn listen(&self) -> &[ListenUrl] {
        &self.listen
    }

    /// Where the web pages are to be, if they are wanted.
    fn web(&self, context: &Context) -> Option<WebSettings> {
        let configured = &context.config.web;
        match self.web_port {
            Some(port) => Some(WebSettings { port, ..configured.clone() }),
            None => configured.is_enabled.then(|| configured.clone()),
        }
    }

    /// Runs the broker until a signal ends it.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        start_tracing();
        let output = &context.output;
        output.line(format_args!("securemq {VERSION}, data in {}", context.data_dir().display()))?;
        for warning in context.config.warnings() {
            output.warning(warning);
        }
        // Whatever is made is said at once, because what follows may fail, and the next start only finds it.
        let on_damage = if self.strict { OnDamage::Refuse } else { OnDamage::Salvage };
        let notices = mend(context, on_damage).await?;
        let mut opened = open(context).await?;
        record_damage(&opened.database, notices).await?;
        say_which_database_was_made(context, &opened)?;
        let tls = TlsFolder::of(context.data_dir());
        let prepared = prepare(&tls, SystemTime::now())?;
        say_which_certificates_were_made(context, &prepared, &tls)?;
        let admin = first_admin(&opened.database, output).await?;

        // Before it starts, so that none ends it half made.
        let signals = Signals::listen()?;
        let started = Broker::start(&context.config, opened.database.clone(), &tls, VERSION).await;
        let broker = match started {
            Err(ServerError::Store(error @ StoreError::Damaged(_))) if on_damage == OnDamage::Salvage => {
                opened.database.close().await?;
                let notices = salvage(context, &error).await?;
                opened = open(context).await?;
                record_damage(&opened.database, notices).await?;
                Broker::start(&context.config, opened.database.clone(), &tls, VERSION).await?
            }
            started => started?,
        };
        if context.config.tls.server_certificate.is_none() {
            output.line(format_args!("CA fingerprint (SHA-256): {}", prepared.ca_fingerprint))?;
        }
        for listener in broker.listeners() {
            output.line(format_args!("listening on {}", listener.url))?;
        }
        if let Some((places, wanted)) = broker.fewer_connections() {
            output.warning(format_args!(
                "{places} connections instead of {wanted} (limits.max_connections): the limit of open files allows no \
                 more; raise it with `ulimit -n` or LimitNOFILE= in the systemd unit"
            ));
        }
        let console = Console::beside(context, &broker, opened.database, self.web(context).as_ref()).await;
        let console = match console {
            Ok(console) => console,
            Err(error) => {
                broker.stop().await;
                return Err(error);
            }
        };
        if let Some(admin) = &admin {
            say_how_to_begin(context, &broker, admin, &tls)?;
        }
        serve_until_signalled(context, &broker, &console, &tls, signals).await?;
        output.line("stopping: clients are told, everything is committed")?;
        console.close().await;
        broker.stop().await;
        output.line("stopped")
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The account `admin` with a password of its own, if there is no account yet.
///
/// The password is said before the account is stored: if the power goes in between, the next start makes another one.
/// The other way round there would be an account whose password nobody has seen.
async fn first_admin(database: &Database, output: &Output) -> Result<Option<FirstAdmin>, CliError> {
    if !database.users().await?.is_empty() {
        return Ok(None);
    }
    let invalid = |error| CliError::failed(error, "this is a fault of securemq; please report it");
    let name = UserName::new("admin").map_err(invalid)?;
    let role = RoleName::new("Admin").map_err(invalid)?;
    let password = generate_password()?;
    let hash = hash_password(&password, PasswordCost::CLIENT)?;
    let now = UnixMillis::now();
    let user = StoredUser {
        name: name.clone(),
        role,
        enabled: true,
        password: Some(SecretString::from(hash)),
        certificate: None,
        created: now,
        changed: now,
    };
    let shown = password.expose_secret();
    output.line(format_args!("made the user {name} with the password {shown} - shown only this once"))?;
    database.add_user(&user).await?;
    Ok(Some(FirstAdmin { name, password }))
}

fn say_which_database_was_made(context: &Context, opened: &Opened) -> Result<(), CliError> {
    let output = &context.output;
    if let Some(path) = &opened.new_key {
        output.line(format_args!("made the master key {} - keep a copy elsewhere", path.display()))?;
    }
    if opened.is_new {
        let path = opened.database.path();
        output.line(format_args!("made the sealed database {} with roles Admin, Teacher, Student", path.display()))?;
    }
    Ok(())
}

fn say_which_certificates_were_made(context: &Context, prepared: &Prepared, tls: &TlsFolder) -> Result<(), CliError> {
    let output = &context.output;
    if prepared.ca == Made::Created {
        output.line(format_args!("made the certificate authority {}", tls.ca_certificate().display()))?;
    }
    match prepared.server {
        Made::Created => {
            output.line(format_args!("made the server certificate {}", tls.server_certificate().display()))
        }
        Made::Renewed => output.line("renewed the server certificate: it would have ended soon"),
        Made::Found if prepared.server_days_left < 30 => {
            let days = prepared.server_days_left;
            output.warning(format_args!("the server certificate ends in {days} days and is not ours to renew"));
            Ok(())
        }
        Made::Found => Ok(()),
    }
}

/// Three lines to copy.
fn say_how_to_begin(context: &Context, broker: &Broker, admin: &FirstAdmin, tls: &TlsFolder) -> Result<(), CliError> {
    let output = &context.output;
    let (name, password) = (&admin.name, admin.password.expose_secret());
    let Some(port) =
        broker.listeners().iter().map(|l| &l.url).find(|url| url.transport.is_secure()).map(|url| url.port)
    else {
        return Ok(());
    };
    let ca = tls.ca_certificate();
    let ca = ca.display();
    let data = context.data_dir().display();
    let securemq = this_program();
    output.line("try it, in two other terminals (the password is asked for):")?;
    output.line(format_args!("  {securemq} sub --data-dir {data} --port {port} --user {name} --topic 'school/#'"))?;
    output.line(format_args!(
        "  {securemq} pub --data-dir {data} --port {port} --user {name} --topic school/hello --message 'good morning'"
    ))?;
    output.line(format_args!(
        "  mosquitto_sub --cafile {ca} -h localhost -p {port} -u {name} -P '{password}' -t 'school/#'"
    ))
}

/// How to call this program again: by its path, if that is how it was called.
fn this_program() -> String {
    std::env::args().next().filter(|name| name.contains('/')).unwrap_or_else(|| "securemq".to_owned())
}

/// Waits for the signal to stop. On SIGHUP the certificates are read again, and once a day our own is renewed if it ends
/// soon: a broker may run for longer than its certificate.
async fn serve_until_signalled(
    context: &Context,
    broker: &Broker,
    console: &Console,
    tls: &TlsFolder,
    mut signals: Signals,
) -> Result<(), CliError> {
    let mut days = tokio::time::interval(DAY);
    days.tick().await;
    loop {
        tokio::select! {
            told = signals.next() => if !told.is_reload() { return Ok(()) },
            _ = days.tick() => match prepare(tls, SystemTime::now()) {
                Ok(prepared) if prepared.server == Made::Found => continue,
                Ok(prepared) => say_which_certificates_were_made(context, &prepared, tls)?,
                Err(error) => {
                    context.output.warning(format_args!("the server certificate cannot be looked after: {error}"));
                    continue;
                }
            },
        }
        match broker.reload_certificates().and_then(|()| console.reload_certificates()) {
            Ok(()) => context.output.line("the certificate files were read again")?,
            Err(error) => context.output.warning(format_args!("certificates stay as they were: {error}")),
        }
    }
}

/// How often the certificate is looked after; it is renewed thirty of these before it ends.
const DAY: Duration = Duration::from_secs(24 * 3600);
