//! What is above asks the running broker through this: what it is doing, and to do something.
//!
//! Every question is put to the workers by mail and answered on their threads, between two pieces of work.

use super::admitted::Guest;
use super::clock::Clock;
use super::history::{Chart, History, Step, Totals};
use super::mailbox::{Asked, Mail, Question};
use super::post::Post;
use crate::auth::Authenticator;
use crate::broker::{
    Address, Carrier, ClientDetail, ClientQuery, ClientView, Loss, Message, Policy, Principal, RetainedQuery,
    SessionKey, ShardReport, partition_of_session, shard_of_partition,
};
use crate::protocol::{ClientId, Connect, ConnectProperties, Credentials, Packet, ProtocolVersion, TopicName};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// The running broker, for those who administer it. Cloning is cheap.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

struct Shared {
    post: Arc<Post>,
    authenticator: Arc<Authenticator>,
    clock: Clock,
    began: Instant,
    history: History,
    questions: Semaphore,
    guests: Arc<Semaphore>,
}

/// The broker does not answer: it stops, or is asked too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the broker does not answer")]
pub struct Unanswered;

/// What the whole broker is doing.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The sums of all shards.
    pub shards: ShardReport,
    /// The last second.
    pub now: Step,
    /// What half of the commits, and all but one in a hundred, took at most in the last minutes, in milliseconds.
    pub commit_ms: [Option<f64>; 2],
    /// How long it runs.
    pub uptime: Duration,
    /// How many workers it has.
    pub workers: usize,
}

/// A client inside this process.
pub struct GuestClient {
    says: mpsc::Sender<Packet>,
    hears: mpsc::Receiver<Packet>,
}

impl GuestClient {
    /// Says something to the broker.
    pub async fn say(&self, packet: Packet) -> Result<(), Unanswered> {
        self.says.send(packet).await.map_err(|_| Unanswered)
    }

    /// What the broker says next; nothing once the connection is over.
    pub async fn hear(&mut self) -> Option<Packet> {
        self.hears.recv().await
    }
}

/// Questions under way; more wait.
const QUESTIONS: usize = 64;

/// Guests at a time; more are refused.
const GUESTS: usize = 256;

/// Packets on their way to or from a guest. One that reads slowly is treated like a slow socket beyond that.
const PACKETS: usize = 256;

/// A worker that has not answered by then is not going to.
const PATIENCE: Duration = Duration::from_secs(5);

/// Of the history.
const SECOND: Duration = Duration::from_secs(1);

impl Handle {
    pub(super) fn new(post: Arc<Post>, authenticator: Arc<Authenticator>, clock: Clock) -> Self {
        Self {
            shared: Arc::new(Shared {
                post,
                authenticator,
                clock,
                began: Instant::now(),
                history: History::default(),
                questions: Semaphore::new(QUESTIONS),
                guests: Arc::new(Semaphore::new(GUESTS)),
            }),
        }
    }

    /// Who checks logins.
    pub fn authenticator(&self) -> Arc<Authenticator> {
        Arc::clone(&self.shared.authenticator)
    }

    /// The clock of the broker.
    pub fn clock(&self) -> Clock {
        self.shared.clock
    }

    /// What the whole broker is doing.
    pub async fn report(&self) -> Result<Report, Unanswered> {
        let mut sum = ShardReport::default();
        for shard in self.ask_all(|asked| asked.shard.report()).await? {
            sum.sessions += shard.sessions;
            sum.connections += shard.connections;
            sum.subscriptions += shard.subscriptions;
            sum.queued += shard.queued;
            // Every shard knows all retained messages.
            sum.retained = sum.retained.max(shard.retained);
            sum.retained_bytes = sum.retained_bytes.max(shard.retained_bytes);
            sum.counters.received += shard.counters.received;
            sum.counters.sent += shard.counters.sent;
            for (reason, count) in shard.counters.dropped {
                *sum.counters.dropped.entry(reason).or_default() += count;
            }
        }
        let latencies = self.shared.post.latencies();
        Ok(Report {
            shards: sum,
            now: self.shared.history.latest(),
            commit_ms: [latencies.quantile_ms(0.5), latencies.quantile_ms(0.99)],
            uptime: self.shared.began.elapsed(),
            workers: self.shared.post.mailboxes.len(),
        })
    }

    /// The last so many seconds.
    pub fn chart(&self, seconds: u32) -> Chart {
        self.shared.history.chart(seconds)
    }

    /// A page of the clients of all workers, by principal and client identifier.
    pub async fn clients(&self, query: ClientQuery) -> Result<Vec<ClientView>, Unanswered> {
        let limit = query.limit;
        let pages = self.ask_all(move |asked| asked.shard.clients(&query)).await?;
        let mut clients: Vec<ClientView> = pages.into_iter().flatten().collect();
        clients.sort_by(|one, other| one.key.cmp(&other.key));
        clients.truncate(limit);
        Ok(clients)
    }

    /// One client.
    pub async fn client(&self, key: SessionKey) -> Result<Option<ClientDetail>, Unanswered> {
        self.ask(self.owner_of(&key), move |asked| asked.shard.client(&key)).await
    }

    /// Ends a client's connection. Whether it had one.
    pub async fn disconnect(&self, key: SessionKey) -> Result<bool, Unanswered> {
        let owner = self.owner_of(&key);
        self.ask(owner, move |asked| asked.shard.disconnect_client(asked.now, &key, asked.effects)).await
    }

    /// Ends a client's connection and its session. Whether there was one.
    pub async fn end_session(&self, key: SessionKey) -> Result<bool, Unanswered> {
        let owner = self.owner_of(&key);
        self.ask(owner, move |asked| asked.shard.end_client(asked.now, &key, asked.effects)).await
    }

    /// A page of the retained messages that this principal may receive, by topic.
    pub async fn retained(&self, query: RetainedQuery, reader: SessionKey) -> Result<Vec<Arc<Message>>, Unanswered> {
        self.ask(0, move |asked| {
            let rights = asked.shard.rights_of(&reader);
            asked.shard.retained_messages(asked.now, &query, &rights)
        })
        .await
    }

    /// How many sessions and groups a message for this topic would reach.
    pub async fn receivers(&self, topic: TopicName) -> Result<usize, Unanswered> {
        Ok(self.ask_all(move |asked| asked.shard.receivers_of(&topic)).await?.into_iter().sum())
    }

    /// Subscriptions of connected clients that would bring less under this policy.
    pub async fn losses(&self, policy: Arc<Policy>, limit: usize) -> Result<Vec<Loss>, Unanswered> {
        let mut losses: Vec<Loss> =
            self.ask_all(move |asked| asked.shard.losses_under(&policy, limit)).await?.into_iter().flatten().collect();
        losses.sort_by(|one, other| one.key.cmp(&other.key).then_with(|| one.filter.cmp(&other.filter)));
        losses.truncate(limit);
        Ok(losses)
    }

    /// Lets somebody who has proved who it is be a client of the broker, until the guest is dropped.
    pub async fn guest(
        &self,
        principal: Principal,
        client_id: ClientId,
        address: Address,
        carrier: Carrier,
    ) -> Result<GuestClient, Unanswered> {
        let place = Arc::clone(&self.shared.guests).try_acquire_owned().map_err(|_| Unanswered)?;
        let (says, broker_hears) = mpsc::channel(PACKETS);
        let (broker_says, hears) = mpsc::channel(PACKETS);
        let connect = Connect {
            version: ProtocolVersion::V5,
            clean_start: true,
            keep_alive: 0,
            client_id: client_id.text().clone(),
            will: None,
            credentials: Credentials::default(),
            properties: ConnectProperties::default(),
        };
        let owner = self.owner_of(&SessionKey { principal: principal.clone(), client_id: client_id.clone() });
        let guest =
            Guest { connect, client_id, principal, address, carrier, says: broker_hears, hears: broker_says, place };
        self.shared.post.mail(owner, Mail::Guest(Box::new(guest)));
        let mut guest = GuestClient { says, hears };
        match tokio::time::timeout(PATIENCE, guest.hear()).await {
            Ok(Some(Packet::ConnAck(answer))) if !answer.reason.is_error() => Ok(guest),
            Ok(_) | Err(_) => Err(Unanswered),
        }
    }

    fn owner_of(&self, key: &SessionKey) -> usize {
        let shards = u16::try_from(self.shared.post.mailboxes.len()).unwrap_or(u16::MAX);
        usize::from(shard_of_partition(partition_of_session(key), shards).0)
    }

    async fn ask<R: Send + 'static>(
        &self,
        worker: usize,
        question: impl FnOnce(Asked<'_>) -> R + Send + 'static,
    ) -> Result<R, Unanswered> {
        let _turn = self.shared.questions.acquire().await.map_err(|_| Unanswered)?;
        answer(self.put(worker, question)).await
    }

    async fn ask_all<R: Send + 'static>(
        &self,
        question: impl Fn(Asked<'_>) -> R + Send + Sync + 'static,
    ) -> Result<Vec<R>, Unanswered> {
        let _turn = self.shared.questions.acquire().await.map_err(|_| Unanswered)?;
        let question = Arc::new(question);
        let workers = 0..self.shared.post.mailboxes.len();
        let asked: Vec<_> = workers
            .map(|worker| {
                let question = Arc::clone(&question);
                self.put(worker, move |asked| question(asked))
            })
            .collect();
        let mut answers = Vec::with_capacity(asked.len());
        for one in asked {
            answers.push(answer(one).await?);
        }
        Ok(answers)
    }

    fn put<R: Send + 'static>(
        &self,
        worker: usize,
        question: impl FnOnce(Asked<'_>) -> R + Send + 'static,
    ) -> oneshot::Receiver<R> {
        let (sender, receiver) = oneshot::channel();
        let question = Question(Box::new(move |asked| {
            // Whoever asked may have gone, and what is asked for may take long.
            if !sender.is_closed() {
                let _ = sender.send(question(asked));
            }
        }));
        self.shared.post.mail(worker, Mail::Ask(question));
        receiver
    }

    /// Fills the history, second by second.
    pub(super) async fn keep_history(self, stop: CancellationToken) {
        let mut seconds = tokio::time::interval(SECOND);
        seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = seconds.tick() => {}
            }
            if let Ok(workers) = self.ask_all(|asked| totals(&asked)).await {
                self.shared.history.second(workers.into_iter().fold(Totals::default(), sum));
            }
        }
    }
}

async fn answer<R>(receiver: oneshot::Receiver<R>) -> Result<R, Unanswered> {
    match tokio::time::timeout(PATIENCE, receiver).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) | Err(_) => Err(Unanswered),
    }
}

fn totals(asked: &Asked<'_>) -> Totals {
    let counters = asked.shard.counters();
    Totals {
        received: counters.received,
        sent: counters.sent,
        dropped: counters.dropped.values().sum(),
        bytes_in: asked.bytes.0,
        bytes_out: asked.bytes.1,
        connections: u64::try_from(asked.shard.connection_count()).unwrap_or(u64::MAX),
    }
}

fn sum(one: Totals, other: Totals) -> Totals {
    Totals {
        received: one.received + other.received,
        sent: one.sent + other.sent,
        dropped: one.dropped + other.dropped,
        bytes_in: one.bytes_in + other.bytes_in,
        bytes_out: one.bytes_out + other.bytes_out,
        connections: one.connections + other.connections,
    }
}
