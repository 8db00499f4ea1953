//! A client that is let in gets its session and its task.

use super::admitted::Admitted;
use super::connection::Connection;
use super::world::World;
use crate::broker::{Connecting, Input};
use std::rc::Rc;

/// Gives an admitted connection its session and its task.
pub fn serve(world: &Rc<World>, admitted: Admitted) {
    let Admitted {
        mut transport,
        rest,
        connect,
        client_id,
        is_assigned,
        principal,
        address,
        carrier,
        durability,
        place,
    } = admitted;
    if let Err(error) = transport.attach() {
        tracing::debug!(%error, "a connection ended on its way between workers");
        return;
    }
    transport.set_message_limit(usize::try_from(world.max_packet_size()).unwrap_or(usize::MAX));
    let version = connect.version;
    let maximum = connect.properties.maximum_packet_size.unwrap_or(u32::MAX);
    let (connection, outbox) = world.enter(version, maximum);
    let mut task = Connection::new(connection, version, transport, rest, outbox, Rc::clone(world));
    let connecting =
        Connecting { connection, connect, client_id, is_assigned, principal, address, carrier, durability };
    world.input(Input::Connect(Box::new(connecting)));
    world.end_turn();
    let served = world.served();
    tokio::task::spawn_local(async move {
        task.serve().await;
        // The socket goes before its place is given to another.
        drop(task);
        drop((place, served));
    });
}
