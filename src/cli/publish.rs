//! `securemq pub`: publishes messages and says what became of them.

use super::client::{ClientArguments, ClientKind, Interrupt};
use super::context::Context;
use super::error::CliError;
use super::input;
use super::login::text;
use super::publisher::{Payloads, Publisher};
use crate::protocol::{Publish, PublishProperties, Text, TopicName};
use bytes::Bytes;
use clap::{ArgGroup, Args, ValueHint};
use std::fs::File;
use std::io;
use std::path::PathBuf;

/// Publish messages
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true), after_help = "\
With QoS 1 or 2 it waits until the broker has answered every message. It says which were refused, and ends with 4 \
if one was not allowed and with 1 if one was refused for another reason. With QoS 0, and before MQTT 5, brokers do not \
say that they refuse.

  securemq pub --user anna --topic school/hello --message 'good morning'
  securemq pub --user anna --topic school/photo --file photo.jpg --retain
  securemq pub --user anna --topic school/photo --clear
  sensor | securemq pub --host lab.example.org --ca ca.crt --cert 1.crt --key 1.key --topic lab/1 --lines")]
pub struct PublishCommand {
    /// Where to publish, without wildcards
    #[arg(long, short, value_name = "TOPIC", value_parser = topic_name)]
    topic: TopicName,
    /// Publish this text
    #[arg(long, short, value_name = "TEXT", group = "what")]
    message: Option<String>,
    /// Publish what is in this file; - is standard input to its end
    #[arg(long, short, value_name = "FILE", group = "what", value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// Publish each line of standard input as it comes; behind the password with --password-stdin
    #[arg(long, short, group = "what")]
    lines: bool,
    /// Take the retained message of the topic away: an empty one takes its place
    #[arg(long, group = "what")]
    clear: bool,
    /// Let the broker keep the message for those who subscribe later
    #[arg(long, short)]
    retain: bool,
    /// Publish the message that many times
    #[arg(long, value_name = "COUNT", default_value_t = 1, conflicts_with = "lines", value_parser = clap::value_parser!(u64).range(1..))]
    repeat: u64,
    /// Seconds after which nobody wants the message any more (MQTT 5)
    #[arg(long, value_name = "SECONDS")]
    expiry: Option<u32>,
    /// User property that travels with the message; may be repeated (MQTT 5)
    #[arg(long, value_name = "NAME=VALUE", value_parser = property)]
    property: Vec<(Text, Text)>,
    /// What the payload is: text/plain, application/json (MQTT 5)
    #[arg(long, value_name = "TYPE", value_parser = text)]
    content_type: Option<Text>,
    /// Where to answer (MQTT 5)
    #[arg(long, value_name = "TOPIC", value_parser = topic_name)]
    response_topic: Option<TopicName>,
    #[command(flatten)]
    client: ClientArguments,
}

impl PublishCommand {
    /// Publishes until there is nothing left to publish, and waits for the answers.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        self.client.demand_5(&[
            ("--expiry", self.expiry.is_some()),
            ("--property", !self.property.is_empty()),
            ("--content-type", self.content_type.is_some()),
            ("--response-topic", self.response_topic.is_some()),
        ])?;
        let prepared = self.client.prepare(context, ClientKind::Publisher)?;
        // Only now: the password is the first line of standard input, and the rest is the message.
        let payloads = self.payloads()?;
        let mut interrupt = Interrupt::listen()?;
        let connection = prepared.connect(&mut interrupt).await?;
        let publisher = Publisher::new(connection, self.message(), &context.output);
        publisher.publish_all(payloads, interrupt).await
    }

    fn message(&self) -> Publish {
        Publish {
            dup: false,
            qos: self.client.qos(),
            retain: self.retain || self.clear,
            topic: self.topic.text().clone(),
            packet_id: None,
            properties: PublishProperties {
                message_expiry_interval: self.expiry,
                content_type: self.content_type.clone(),
                response_topic: self.response_topic.as_ref().map(|topic| topic.text().clone()),
                user_properties: self.property.clone(),
                ..PublishProperties::default()
            }
            .into(),
            payload: Bytes::new(),
        }
    }

    fn payloads(&self) -> Result<Payloads, CliError> {
        if self.lines {
            return Ok(Payloads::lines(input::lines(LONGEST_PAYLOAD)));
        }
        let payload = match (&self.message, &self.file) {
            // With --clear.
            (None, None) => Bytes::new(),
            (Some(message), _) => Bytes::copy_from_slice(message.as_bytes()),
            (None, Some(path)) => {
                let read = match path.as_os_str() == "-" {
                    true => input::whole(io::stdin().lock(), LONGEST_PAYLOAD),
                    false => File::open(path).and_then(|file| input::whole(file, LONGEST_PAYLOAD)),
                };
                read.map_err(|error| {
                    let what =
                        if path.as_os_str() == "-" { "standard input".into() } else { path.display().to_string() };
                    CliError::failed(format_args!("{what} cannot be read: {error}"), "name another file with --file")
                })?
            }
        };
        Ok(Payloads::repeated(payload, self.repeat))
    }
}

fn topic_name(value: &str) -> Result<TopicName, String> {
    TopicName::new(text(value)?).map_err(|error| format!("it {error}"))
}

fn property(pair: &str) -> Result<(Text, Text), String> {
    let (name, value) = pair.split_once('=').ok_or("it is not of the form NAME=VALUE")?;
    Ok((text(name)?, text(value)?))
}

/// The longest remaining length that a packet can say, in bytes. With its topic a message is a little shorter, which
/// is found out when it is sent.
const LONGEST_PAYLOAD: usize = 268_435_455;
