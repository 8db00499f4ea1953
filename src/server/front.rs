//! Before login: a stranger's handshakes, its CONNECT packet, and the proof of who it is.
//!
//! Nothing of a CONNECT has any effect here but being read; a client that is let in goes to the worker that owns its
//! session.

use super::admitted::Admitted;
use super::clock::Clock;
use super::mailbox::Mail;
use super::post::Post;
use super::serve::serve;
use super::transport::{Acceptor, Socket, Transport, accept};
use super::world::World;
use crate::auth::{Authenticator, LoginRequest, Method, Rehash};
use crate::broker::{
    Address, AuditEvent, Durability, EventKind, Principal, Reason, RoleName, SessionKey, Who, partition_of_session,
    shard_of_partition,
};
use crate::protocol::{
    ClientId, ConnAck, ConnAckProperties, Connect, Packet, ProtocolVersion, Text, Violation, decode, frame_len,
    guess_protocol, version_to_answer_in,
};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use bytes::BytesMut;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::io::read_buf;

/// How a listener receives strangers.
pub struct Reception {
    /// Its handshakes.
    pub acceptor: Acceptor,
    /// What it takes as proof.
    pub method: Method,
    /// What it says about acknowledgements, if it says anything.
    pub durability: Option<Durability>,
}

/// What all fronts of a broker share.
pub struct FrontDesk {
    /// Who is it?
    pub authenticator: Arc<Authenticator>,
    /// The role of clients without credentials, if they are let in.
    pub anonymous_role: Option<RoleName>,
    /// From the accepted socket to the whole CONNECT packet.
    pub connect_timeout: Duration,
    /// The largest CONNECT, in bytes: what a stranger can make the broker hold.
    pub pre_login_packet_size: u32,
    /// The places for connections, strangers included.
    pub places: Arc<Semaphore>,
    /// Password hashes that were made anew because their cost has changed.
    pub rehashes: mpsc::Sender<Rehash>,
    /// The ways to the workers.
    pub post: Arc<Post>,
    /// The time.
    pub clock: Clock,
}

/// The front of one worker.
pub struct Front {
    world: Rc<World>,
    desk: Arc<FrontDesk>,
}

/// Why a stranger is not let in.
struct Refused {
    /// What it is told.
    told: Reason,
    /// What the log says.
    logged: Reason,
    /// More for the log.
    detail: Option<String>,
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self { told: reason, logged: reason, detail: None }
    }
}

/// How long a refusal may take to be written.
const FAREWELL: Duration = Duration::from_secs(2);

impl Front {
    /// The front of the worker with this world.
    pub fn new(world: Rc<World>, desk: Arc<FrontDesk>) -> Self {
        Self { world, desk }
    }

    /// A place for one more connection, or the refusal that is logged.
    pub fn place(&self, address: Address) -> Option<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.desk.places).try_acquire_owned().ok();
        if place.is_none() {
            self.record_refusal(Who { address: Some(address), ..Who::default() }, Reason::TooManyConnections, None);
        }
        place
    }

    /// Receives one stranger.
    pub async fn receive(&self, socket: Socket, reception: &Reception, place: OwnedSemaphorePermit) {
        let address = socket.peer_address();
        let stranger = Who { address: Some(address), ..Who::default() };
        let deadline = Instant::now() + self.desk.connect_timeout;
        let mut transport = match accept(&reception.acceptor, socket, deadline).await {
            Ok(transport) => transport,
            Err(error) => return self.record_refusal(stranger, error.reason(), Some(error.detail())),
        };
        let mut bytes = BytesMut::new();
        let connect = match tokio::time::timeout_at(deadline, self.read_connect(&mut transport, &mut bytes)).await {
            Ok(Ok(connect)) => connect,
            Ok(Err(refused)) => return self.record_refusal(stranger, refused.logged, refused.detail),
            Err(_) => return self.record_refusal(stranger, Reason::ConnectTimeout, None),
        };
        match self.admit(&transport, &connect, reception.method, address).await {
            Ok((client_id, is_assigned, principal)) => {
                let carrier = transport.kind().carrier();
                let admitted = Admitted {
                    transport,
                    rest: bytes,
                    connect,
                    client_id,
                    is_assigned,
                    principal,
                    address,
                    carrier,
                    durability: reception.durability,
                    place,
                };
                self.hand_over(admitted);
            }
            Err(refused) => {
                let who = Who {
                    user: connect.credentials.user_name.clone(),
                    client_id: Some(connect.client_id.clone()),
                    address: Some(address),
                };
                self.record_refusal(who, refused.logged, refused.detail);
                let wants_reason = connect.properties.request_problem_information != Some(false);
                self.refuse(&mut transport, connect.version, refused.told, wants_reason).await;
            }
        }
    }

    /// Reads until the CONNECT packet is whole. What follows it stays in `bytes`.
    async fn read_connect(&self, transport: &mut Transport, bytes: &mut BytesMut) -> Result<Connect, Refused> {
        let maximum = self.desk.pre_login_packet_size;
        loop {
            match frame_len(bytes, maximum) {
                Ok(Some(len)) if bytes.len() >= len => {
                    let mut whole = bytes.split_to(len).freeze();
                    match decode(&mut whole, None, maximum) {
                        Ok(Some(Packet::Connect(connect))) => return Ok(*connect),
                        Ok(_) => return Err(Reason::Malformed.into()),
                        Err(violation) => return Err(self.answer_violation(transport, &whole, violation).await),
                    }
                }
                Ok(_) => {}
                Err(violation) => return Err(self.answer_violation(transport, bytes, violation).await),
            }
            if let Some(foreign) = guess_protocol(bytes) {
                let detail = Some(format!("the peer speaks {foreign}"));
                return Err(Refused { told: Reason::ForeignProtocol, logged: Reason::ForeignProtocol, detail });
            }
            bytes.reserve(Self::FIRST_READ);
            match read_buf(transport, bytes).await {
                Ok(0) | Err(_) => return Err(Reason::ConnectionLost.into()),
                Ok(_) => {}
            }
        }
    }

    /// What is set aside for a stranger's bytes at a time; most CONNECT packets fit.
    const FIRST_READ: usize = 1024;

    /// A client of a version that is not spoken is told so in its own; anybody else who sends nonsense is not answered.
    async fn answer_violation(&self, transport: &mut Transport, bytes: &[u8], violation: Violation) -> Refused {
        let reason = Reason::of(&violation);
        if let Some(foreign) = guess_protocol(bytes) {
            let detail = Some(format!("the peer speaks {foreign}"));
            return Refused { told: reason, logged: Reason::ForeignProtocol, detail };
        }
        if let Some(version) = version_to_answer_in(bytes) {
            // Whether such a client knows properties is unknown, so it gets none.
            self.refuse(transport, version, reason, false).await;
        }
        Refused { told: reason, logged: reason, detail: Some(violation.to_string()) }
    }

    /// Who it is and as which client.
    async fn admit(
        &self,
        transport: &Transport,
        connect: &Connect,
        method: Method,
        address: Address,
    ) -> Result<(ClientId, bool, Principal), Refused> {
        if connect.properties.authentication_method.is_some() {
            return Err(Reason::BadAuthenticationMethod.into());
        }
        let certificate = transport.client_certificate().map_err(|problem| Refused {
            told: Reason::CertificateUnknown,
            logged: Reason::CertificateUnknown,
            detail: Some(problem.to_string()),
        })?;
        let request = LoginRequest {
            method,
            certificate,
            user_name: connect.credentials.user_name.clone(),
            password: connect.credentials.password.clone(),
            address,
            anonymous_role: self.desk.anonymous_role.clone(),
        };
        let login = self.desk.authenticator.authenticate(self.desk.clock.now(), request).await;
        let login =
            login.map_err(|refused| Refused { told: refused.peer, logged: refused.log, detail: refused.detail })?;
        if let Some(rehash) = login.rehash {
            // If it cannot be taken now, the next login brings it again.
            let _ = self.desk.rehashes.try_send(rehash);
        }
        let (client_id, is_assigned) = client_id_of(connect)?;
        Ok((client_id, is_assigned, login.principal))
    }

    /// Sends a client to the worker that owns its session.
    fn hand_over(&self, mut admitted: Admitted) {
        let key = SessionKey { principal: admitted.principal.clone(), client_id: admitted.client_id.clone() };
        let post = &self.desk.post;
        let shards = u16::try_from(post.mailboxes.len()).unwrap_or(u16::MAX);
        let owner = shard_of_partition(partition_of_session(&key), shards);
        if owner == self.world.id() {
            return serve(&self.world, admitted);
        }
        match admitted.transport.detach() {
            Ok(()) => post.mail(usize::from(owner.0), Mail::Admitted(Box::new(admitted))),
            Err(error) => tracing::debug!(%error, "a connection ended on its way between workers"),
        }
    }

    async fn refuse(&self, transport: &mut Transport, version: ProtocolVersion, reason: Reason, wants_reason: bool) {
        let mut properties = ConnAckProperties::default();
        if wants_reason {
            properties.reason_string = Text::try_from(reason.words()).ok();
        }
        let connack = ConnAck { session_present: false, reason: reason.code(), properties };
        let mut bytes = BytesMut::new();
        if Packet::ConnAck(Box::new(connack)).encode(version, u32::MAX, &mut bytes).is_ok() {
            let answer = async {
                transport.write_all(&bytes).await?;
                transport.flush().await
            };
            // Whoever does not read its refusal goes without.
            let _ = tokio::time::timeout(FAREWELL, answer).await;
            transport.close(FAREWELL).await;
        }
    }

    fn record_refusal(&self, who: Who, reason: Reason, detail: Option<String>) {
        let kind = EventKind::ConnectRefused { reason, detail };
        self.desk.post.record(AuditEvent { who, kind });
    }
}

/// The client's identifier, or a new one. 3.1 knows no empty ones, and 3.1.1 only for a clean session.
/// [v311:MQTT-3.1.3-8] [v5:MQTT-3.1.3-6]
fn client_id_of(connect: &Connect) -> Result<(ClientId, bool), Refused> {
    if let Ok(client_id) = ClientId::new(connect.client_id.clone()) {
        return Ok((client_id, false));
    }
    let may_assign = match connect.version {
        ProtocolVersion::V3_1 => false,
        ProtocolVersion::V3_1_1 => connect.clean_start,
        ProtocolVersion::V5 => true,
    };
    if !may_assign {
        return Err(Reason::ClientIdInvalid.into());
    }
    let mut random = [0; 16];
    SystemRandom::new().fill(&mut random).map_err(|_| Reason::Internal)?;
    let name = format!("auto-{}", data_encoding::HEXLOWER.encode(&random));
    let text = Text::try_from(name.as_str()).map_err(|_| Reason::Internal)?;
    ClientId::new(text).map(|id| (id, true)).map_err(|_| Reason::Internal.into())
}
