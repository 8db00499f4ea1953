//! A hash for numbers that this program gives out itself.

use std::hash::Hasher;

/// Spreads one number over all bits. For maps whose keys are numbers of our own making, like [`super::ConnectionId`]: no
/// peer chooses them, so nobody can make them collide, and a hash that withstands that costs ten times as much, for every
/// packet and every delivery.
#[derive(Debug, Default, Clone, Copy)]
pub struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Keys are whole numbers, which come by `write_u64`; anything else is spread the same way, byte by byte.
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // The odd number nearest to 2^64 divided by the golden ratio. The map looks at the highest bits and the lowest.
        let product = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = product ^ (product >> 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::hash::{BuildHasher, BuildHasherDefault};

    #[test]
    fn numbers_given_out_in_turn_hardly_share_a_slot() {
        const SLOTS: u64 = 1 << 16;
        let hash = |number: u64| BuildHasherDefault::<NumberHasher>::default().hash_one(number);
        let low: BTreeSet<u64> = (0..SLOTS / 2).map(|number| hash(number) % SLOTS).collect();
        let high: BTreeSet<u64> = (0..128).map(|number| hash(number) >> 57).collect();
        // Half as many balls as slots hit four fifths as many slots as there are balls, if they fly at random.
        assert!(low.len() > 24_000, "{}", low.len());
        assert!(high.len() > 64, "{}", high.len());
    }
}
