//! The administration, opened by `serve` beside the broker and by `web` on its own.

use super::context::Context;
use super::error::CliError;
use crate::admin::{Equipment, Live, Office, OpenDoor, SOCKET, accounts};
use crate::auth::{Authenticator, TlsFolder};
use crate::config::WebSettings;
use crate::server::transport::TlsSettingsError;
use crate::server::{Broker, Clock, WebTls, auth_settings};
use crate::store::Database;
use std::sync::Arc;

/// The administration, open.
pub struct Console {
    doors: Vec<OpenDoor>,
    tls: Option<WebTls>,
}

impl Console {
    /// Beside a broker in this process: always on its socket, for browsers if that is wanted.
    pub async fn beside(
        context: &Context,
        broker: &Broker,
        database: Database,
        web: Option<&WebSettings>,
    ) -> Result<Self, CliError> {
        let handle = broker.handle();
        let equipment = Equipment {
            authenticator: handle.authenticator(),
            clock: handle.clock(),
            live: Live::Here(handle),
            database,
            tls: TlsFolder::of(context.data_dir()),
            settings: context.settings.clone(),
        };
        let office = Arc::new(Office::open(equipment).await?);
        let mut console = Self { doors: Vec::new(), tls: None };
        match OpenDoor::to_socket(Arc::clone(&office), context.data_dir()) {
            Ok(door) => console.doors.push(door),
            // The broker serves without it; only `securemq web` misses it.
            Err(error) => context.output.warning(format_args!("{error}; `securemq web` will not find this broker")),
        }
        if let Some(web) = web {
            console.open_to_browsers(context, office, web)?;
        }
        Ok(console)
    }

    /// On its own: what is at rest comes from the store, what is alive from the socket of a broker, if one runs.
    pub async fn alone(context: &Context, database: Database, web: &WebSettings) -> Result<Self, CliError> {
        let directory = database.directory().await?;
        let authenticator = Authenticator::start(&auth_settings(&context.config), accounts(&directory))?;
        let equipment = Equipment {
            authenticator: Arc::new(authenticator),
            clock: Clock::start(),
            live: Live::There(context.data_dir().join(SOCKET)),
            database,
            tls: TlsFolder::of(context.data_dir()),
            settings: context.settings.clone(),
        };
        let office = Arc::new(Office::open(equipment).await?);
        let mut console = Self { doors: Vec::new(), tls: None };
        console.open_to_browsers(context, office, web)?;
        Ok(console)
    }

    fn open_to_browsers(&mut self, context: &Context, office: Arc<Office>, web: &WebSettings) -> Result<(), CliError> {
        let tls = web.needs_tls().then(|| WebTls::load(&context.config, &TlsFolder::of(context.data_dir())));
        self.tls = tls.transpose()?;
        let door = OpenDoor::to_browsers(office, web, self.tls.as_ref())?;
        context.output.line(format_args!("web pages on {}", door.url))?;
        self.doors.push(door);
        Ok(())
    }

    /// Reads the certificate files again. What cannot be used is left as it was.
    pub fn reload_certificates(&self) -> Result<(), TlsSettingsError> {
        self.tls.as_ref().map_or(Ok(()), WebTls::reload)
    }

    /// Closes it.
    pub async fn close(self) {
        for door in self.doors {
            door.close().await;
        }
    }
}
