//! Packet identifiers of one publisher, and when the message of each was due.

use crate::protocol::PacketId;

/// The identifiers that are in use.
#[derive(Debug)]
pub struct Tickets {
    /// For each identifier: when its message was due plus one, or zero if it is free.
    due: Vec<u64>,
    next: PacketId,
    taken: u32,
}

impl Tickets {
    /// As many identifiers as `under_way` messages need, twice: one that is answered late then blocks nobody.
    pub fn new(under_way: u32) -> Self {
        let count = under_way.saturating_mul(2).clamp(16, u32::from(u16::MAX));
        Self { due: vec![0; usize::try_from(count).unwrap_or(0)], next: PacketId::FIRST, taken: 0 }
    }

    /// How many are in use.
    #[inline]
    pub fn taken(&self) -> u32 {
        self.taken
    }

    /// The next identifier, unless it is in use. They come in turns, and brokers answer in turns as well.
    #[inline]
    pub fn take(&mut self, due_ns: u64) -> Option<PacketId> {
        let packet_id = self.next;
        let place = self.due.get_mut(usize::from(packet_id.number() - 1)).filter(|due| **due == 0)?;
        *place = due_ns.saturating_add(1);
        self.taken += 1;
        self.next = match usize::from(packet_id.number()) < self.due.len() {
            true => packet_id.next(),
            false => PacketId::FIRST,
        };
        Some(packet_id)
    }

    /// Its message is finished: tells when it was due. Nothing if it was not in use.
    #[inline]
    pub fn give_back(&mut self, packet_id: PacketId) -> Option<u64> {
        let place = self.due.get_mut(usize::from(packet_id.number() - 1)).filter(|due| **due > 0)?;
        let due_ns = *place - 1;
        *place = 0;
        self.taken -= 1;
        Some(due_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_not_used_twice_before_it_is_given_back() {
        let mut tickets = Tickets::new(1);
        let all: Vec<PacketId> = (0..16).map(|due| tickets.take(due).unwrap()).collect();
        assert_eq!((tickets.taken(), tickets.take(99)), (16, None));
        assert_eq!(tickets.give_back(all[3]), Some(3));
        assert_eq!(tickets.give_back(all[3]), None);
        assert_eq!(tickets.take(99), None, "not its turn");
        assert_eq!(tickets.give_back(all[0]), Some(0));
        assert_eq!(tickets.take(99), Some(all[0]));
        assert_eq!(tickets.taken(), 15);
        assert_eq!(tickets.give_back(PacketId::new(17).unwrap()), None);
    }
}
