//! `securemq web`: the administration in a browser, as a program of its own.

use super::administration::existing_database;
use super::console::Console;
use super::context::Context;
use super::error::CliError;
use super::output::start_tracing;
use super::signals::Signals;
use crate::server::FolderLock;
use clap::Args;
use std::net::IpAddr;

/// Open the administration in a browser
#[derive(Debug, Args)]
#[command(after_help = "\
Log in with a user of the broker. Without a running broker users, rules, certificates and the stored log can be looked \
at and changed all the same. `serve` hosts the same pages itself with --web-port, or with enabled = true under [web].

  securemq web
  securemq web --listen 0.0.0.0 --port 8443      over TLS, with the certificate of the broker")]
pub struct WebCommand {
    /// The port; 0 is any free one [default: 5000, or web.port of the configuration]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// The address to listen on; any but 127.0.0.1 is served over TLS [default: 127.0.0.1, or web.listen]
    #[arg(long, value_name = "ADDR")]
    listen: Option<IpAddr>,
}

impl WebCommand {
    /// Serves until a signal ends it.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        start_tracing();
        let database = existing_database(context).await?;
        let mut web = context.config.web.clone();
        web.port = self.port.unwrap_or(web.port);
        web.listen = self.listen.unwrap_or(web.listen);
        if web.is_readable_on_the_way() {
            context.output.warning(web.warning());
        }
        if !FolderLock::is_taken(context.data_dir()) {
            context
                .output
                .note("no broker runs on this data folder: users, rules and the stored log work, nothing live");
        }
        let mut signals = Signals::listen()?;
        let console = Console::alone(context, database.clone(), &web).await?;
        while signals.next().await.is_reload() {
            match console.reload_certificates() {
                Ok(()) => context.output.line("the certificate files were read again")?,
                Err(error) => context.output.warning(format_args!("certificates stay as they were: {error}")),
            }
        }
        console.close().await;
        database.close().await?;
        context.output.line("stopped")
    }
}
