//! Somebody who looks on over a WebSocket: served in turns, asked now and then whether it is still there, and gone
//! within a second when its login is.

use super::call::Call;
use actix_ws::{CloseCode, CloseReason, Message, MessageStream, Session};
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};

/// How often something is sent, if there is something.
const TURN: Duration = Duration::from_millis(100);
/// How often it is asked whether its login still holds.
const LOOK: Duration = Duration::from_millis(500);
/// How often it is asked whether it is still there, and how long it may be silent.
const PING: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(45);
/// One that does not take what it is sent is left.
const PATIENCE: Duration = Duration::from_secs(10);

/// Somebody who looks on.
pub struct Watcher {
    call: Call,
    session: Session,
    messages: MessageStream,
    turns: Interval,
    looked: Instant,
    pinged: Instant,
    heard: Instant,
}

/// What a turn brings.
pub enum Turn {
    /// It is time to send something.
    Send,
    /// It said this.
    Said(String),
}

impl Watcher {
    /// One that has just come.
    pub fn new(call: Call, session: Session, messages: MessageStream) -> Self {
        let mut turns = interval(TURN);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let now = Instant::now();
        let messages = messages.max_frame_size(MOST_SAID);
        Self { call, session, messages, turns, looked: now, pinged: now, heard: now }
    }

    /// The request that it came with.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Waits for the next turn; nothing when it is gone, or may not stay.
    pub async fn turn(&mut self) -> Option<Turn> {
        loop {
            let message = tokio::select! {
                _ = self.turns.tick() => {
                    return self.is_welcome().await.then_some(Turn::Send);
                }
                message = self.messages.recv() => message?.ok()?,
            };
            self.heard = Instant::now();
            match message {
                Message::Text(text) => return Some(Turn::Said(text.to_string())),
                Message::Ping(bytes) => self.session.pong(&bytes).await.ok()?,
                Message::Pong(_) | Message::Nop => {}
                Message::Binary(_) | Message::Continuation(_) | Message::Close(_) => return None,
            }
        }
    }

    async fn is_welcome(&mut self) -> bool {
        let now = Instant::now();
        if now.duration_since(self.heard) > SILENCE {
            return false;
        }
        if now.duration_since(self.pinged) > PING {
            self.pinged = now;
            if self.session.ping(b"").await.is_err() {
                return false;
            }
        }
        if now.duration_since(self.looked) < LOOK {
            return true;
        }
        self.looked = now;
        self.call.still_holds().await
    }

    /// Sends a message. Whether it was taken.
    pub async fn send(&mut self, text: String) -> bool {
        matches!(timeout(PATIENCE, self.session.text(text)).await, Ok(Ok(())))
    }

    /// Says goodbye.
    pub async fn close(self) {
        let reason = CloseReason { code: CloseCode::Policy, description: None };
        // One that does not hear it is gone anyway.
        let _ = timeout(PATIENCE, self.session.close(Some(reason))).await;
    }
}

/// The longest message of a page, in bytes: a list of filters.
const MOST_SAID: usize = 64 * 1024;
