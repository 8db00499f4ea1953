//! `securemq sub`: prints messages as they come.

use super::client::{ClientArguments, ClientKind, GRACE, Interrupt, until};
use super::context::Context;
use super::error::CliError;
use super::login::text;
use super::output::{Format, Output};
use super::received::Received;
use crate::bridge::{Connection, Event, Step};
use crate::protocol::{Publish, ReasonCode, RetainHandling, SharedFilter, SubscribeRequest, Text};
use clap::Args;
use std::time::Duration;
use tokio::time::Instant;

/// Print messages as they come
#[derive(Debug, Args)]
#[command(after_help = "\
Prints a line per message, the topic and the payload, until Ctrl-C, --count or --timeout. On a terminal control \
characters in them are shown, not sent. With --json each line is an object: time, topic, qos, retain, payload (or \
payload_base64 if it is no text) and properties.

  securemq sub --user anna --topic 'school/#'
  securemq sub --user anna --topic school/hello --topic 'lab/+/temperature' --json
  securemq sub --user anna --topic school/door --count 1 --timeout 5 --payload-only")]
pub struct SubscribeCommand {
    /// What to subscribe to; + stands for one level, # for the rest; may be repeated
    #[arg(long, short, value_name = "FILTER", required = true, value_parser = topic_filter)]
    topic: Vec<Text>,
    /// End after that many messages
    #[arg(long, short, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after that many seconds; with 1 if nothing came, or fewer messages than --count
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,
    /// Print payloads without their topics
    #[arg(long, visible_alias = "quiet-topic")]
    payload_only: bool,
    #[command(flatten)]
    client: ClientArguments,
}

impl SubscribeCommand {
    /// Subscribes and prints until the end.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let prepared = self.client.prepare(context, ClientKind::Subscriber)?;
        let mut interrupt = Interrupt::listen()?;
        let connection = prepared.connect(&mut interrupt).await?;
        let mut subscriber = Subscriber { connection, came: 0, command: &self, output: &context.output };
        let ended = subscriber.drive(interrupt).await;
        subscriber.connection.close(GRACE).await;
        ended
    }

    fn requests(&self) -> Vec<SubscribeRequest> {
        let request = |filter: &Text| SubscribeRequest {
            filter: filter.clone(),
            qos: self.client.qos(),
            no_local: false,
            // What was kept is told from what is new by the same flag in every version.
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        };
        self.topic.iter().map(request).collect()
    }
}

/// A connection that gets messages.
struct Subscriber<'a> {
    connection: Connection,
    came: u64,
    command: &'a SubscribeCommand,
    output: &'a Output,
}

impl Subscriber<'_> {
    async fn drive(&mut self, mut interrupt: Interrupt) -> Result<(), CliError> {
        let asked = self.connection.subscribe(self.command.requests());
        asked.map_err(|why| CliError::failed(format_args!("the subscription is not sent: {why}"), "try again"))?;
        let deadline = self.command.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
        while self.missing() != Some(0) {
            tokio::select! {
                step = self.connection.step() => self.take(step?)?,
                () = interrupt.arrives() => return match self.missing() {
                    Some(_) => Err(self.too_few("interrupted")),
                    None => Ok(()),
                },
                () = until(deadline) => return match self.missing() {
                    None if self.came > 0 => Ok(()),
                    Some(_) | None => Err(self.too_few("time is up")),
                },
            }
        }
        Ok(())
    }

    /// How many messages are still waited for, if it is known how many.
    fn missing(&self) -> Option<u64> {
        self.command.count.map(|count| count.saturating_sub(self.came))
    }

    fn take(&mut self, step: Step) -> Result<(), CliError> {
        match step {
            Step::Event(Event::Message(message)) => {
                self.came += 1;
                self.print(&message)
            }
            Step::Event(Event::Subscribed { reasons, .. }) => self.granted(&reasons),
            // Nothing was published, and the connection says of its own end.
            Step::Event(
                Event::Connected(_)
                | Event::Refused(_)
                | Event::Disconnected(_)
                | Event::Published { .. }
                | Event::GivenUp { .. }
                | Event::Unconfirmed { .. }
                | Event::Unsubscribed { .. },
            )
            | Step::Sent => Ok(()),
        }
    }

    fn print(&self, message: &Publish) -> Result<(), CliError> {
        match (self.output.format(), self.command.payload_only) {
            (Format::Json, _) => self.output.json(&Received::now(message)),
            (Format::Text, false) => self.output.message(Some(message.topic.as_str()), &message.payload),
            (Format::Text, true) => self.output.message(None, &message.payload),
        }
    }

    /// Says on standard error what is subscribed to; one filter that is refused is one too many.
    fn granted(&self, reasons: &[ReasonCode]) -> Result<(), CliError> {
        let answers = || self.command.topic.iter().zip(reasons);
        let refused: Vec<String> = answers()
            .filter(|(_, reason)| reason.is_error())
            .map(|(filter, reason)| format!("{filter}: {}", self.refusal(*reason)))
            .collect();
        if !refused.is_empty() {
            return Err(CliError::denied(
                "the broker refuses the subscription",
                "ask for the right to subscribe there: `securemq acl check` tells which rule decides",
            )
            .with_details(refused));
        }
        let asked = self.command.client.qos();
        for (filter, granted) in answers() {
            let less = match *granted == ReasonCode::granted(asked) {
                true => "",
                false => ", with a lower QoS than asked for",
            };
            self.output.note(format_args!("subscribed to {filter}{less}"));
        }
        Ok(())
    }

    /// Before 5.0 there is one code for every refusal. [v311:MQTT-3.9.3-2]
    fn refusal(&self, reason: ReasonCode) -> &'static str {
        match self.command.client.version().server_explains_itself() {
            true => reason.words(),
            false => "refused",
        }
    }

    fn too_few(&self, why: &str) -> CliError {
        let expected = self.command.count.map_or_else(String::new, |count| format!(" of {count}"));
        let came = self.came;
        CliError::failed(
            format_args!("{why}: {came}{expected} messages came"),
            "wait longer, or look at `securemq logs --action PUBLISH` on the broker",
        )
    }
}

/// A filter as it is sent, `$share/NAME/` included.
fn topic_filter(value: &str) -> Result<Text, String> {
    let filter = text(value)?;
    SharedFilter::new(&filter).map_err(|error| format!("it {error}"))?;
    Ok(filter)
}
