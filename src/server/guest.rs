//! A client inside this process: the console publishes and watches as the person who is logged in, and the shard treats
//! it like any other client. Same rules, same acknowledgements, same log, gone at once when the account is.

use super::admitted::Guest;
use super::connection::Farewell;
use super::outbox::Outbox;
use super::world::World;
use crate::broker::{Connecting, Input, Reason};
use crate::protocol::{Packet, decode};
use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

/// Gives a guest its session and its task.
pub fn entertain(world: &Rc<World>, guest: Guest) {
    let Guest { connect, client_id, principal, address, carrier, says, hears, place } = guest;
    let version = connect.version;
    let (connection, outbox) = world.enter(version, u32::MAX);
    let connecting = Connecting {
        connection,
        connect,
        client_id,
        is_assigned: false,
        principal,
        address,
        carrier,
        durability: None,
    };
    world.input(Input::Connect(Box::new(connecting)));
    world.end_turn();
    let (world, served) = (Rc::clone(world), world.served());
    tokio::task::spawn_local(async move {
        let farewell = Farewell { id: connection, world: Rc::clone(&world), reason: Cell::new(Reason::ConnectionLost) };
        let mut talk = Talk { world, outbox, farewell, says, hears };
        talk.go_on().await;
        drop((talk, place, served));
    });
}

/// What a guest and the shard say to each other.
struct Talk {
    world: Rc<World>,
    outbox: Rc<Outbox>,
    farewell: Farewell,
    says: tokio::sync::mpsc::Receiver<Packet>,
    hears: tokio::sync::mpsc::Sender<Packet>,
}

impl Talk {
    /// Until one of them has had enough.
    async fn go_on(&mut self) {
        while self.pass_on().await && !self.outbox.is_closing() {
            let something_to_hear = poll_fn(|context| {
                if self.outbox.buffer().is_empty() && !self.outbox.is_closing() {
                    self.outbox.wake_later(context);
                    return Poll::Pending;
                }
                Poll::Ready(())
            });
            tokio::select! {
                () = something_to_hear => {}
                said = self.says.recv() => match said {
                    Some(packet) => {
                        self.world.input(Input::Packet { connection: self.farewell.id, packet });
                        self.world.end_turn();
                    }
                    None => return,
                },
            }
        }
        // What came with the end is still told.
        self.pass_on().await;
    }

    /// Tells the guest everything that there is. Whether it still listens.
    async fn pass_on(&mut self) -> bool {
        let mut bytes = self.outbox.buffer().split().freeze();
        if bytes.is_empty() {
            return true;
        }
        while let Ok(Some(packet)) = decode(&mut bytes, Some(crate::protocol::ProtocolVersion::V5), u32::MAX) {
            if self.hears.send(packet).await.is_err() {
                return false;
            }
        }
        self.world.input(Input::Written { connection: self.farewell.id });
        self.world.end_turn();
        true
    }
}
