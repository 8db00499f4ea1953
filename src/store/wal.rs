//! Whether SQLite's write-ahead log is as it was written: SQLite stops reading it at the first frame that is not, and
//! says nothing.
//!
//! A loss of power may leave the last transaction incomplete, which is no damage: nobody was told that it holds. Damage
//! it is when a transaction after the incomplete one was begun, because that happens only when the one before is on the
//! disk.

use super::error::{FileAction, StoreError};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// What is in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct WalState {
    /// The frames, each a page, that SQLite reads.
    pub(super) used: u64,
    /// The frames of later transactions that it does not read any more.
    pub(super) lost: u64,
}

/// Reads a log. One that is missing or empty is sound.
pub(super) fn examine_wal(path: &Path) -> Result<WalState, StoreError> {
    match File::open(path).and_then(|file| examine(BufReader::with_capacity(BUFFER, file))) {
        Ok(state) => Ok(state),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(WalState::default()),
        Err(source) => Err(StoreError::File { action: FileAction::Read, path: path.to_owned(), source }),
    }
}

fn examine(mut source: impl Read) -> io::Result<WalState> {
    let mut state = WalState::default();
    let mut header = [0; HEADER_LEN];
    if !fill(&mut source, &mut header)? {
        return Ok(state);
    }
    let mut page = vec![0; page_len(&header)];
    let order = Order::of(&header);
    let mut is_broken = sum(order, Sum::default(), &header[..SUMMED]) != Sum::at(&header, SUMMED);
    let mut salts = [word(&header, 16), word(&header, 20)];
    let mut previous = Sum::at(&header, SUMMED);
    let mut has_ended = false;
    let mut is_first = true;
    loop {
        let mut frame = [0; FRAME_LEN];
        if !fill(&mut source, &mut frame)? || !fill(&mut source, &mut page)? {
            return Ok(state);
        }
        if is_broken && is_first {
            // A header that is damaged does not tell the salts; the frames do.
            salts = [word(&frame, 8), word(&frame, 12)];
        }
        is_first = false;
        let is_of_this_log = [word(&frame, 8), word(&frame, 12)] == salts;
        let expected = sum(order, sum(order, previous, &frame[..8]), &page);
        previous = Sum::at(&frame, 16);
        let is_whole = is_of_this_log && expected == previous;
        let ends_transaction = is_of_this_log && word(&frame, 4) != 0;
        match (is_broken, is_whole) {
            (false, true) => state.used += 1,
            (false, false) => {
                is_broken = true;
                has_ended = ends_transaction;
            }
            (true, true) if has_ended => state.lost += 1,
            (true, _) => has_ended |= ends_transaction,
        }
    }
}

/// SQLite's checksum: two sums that feed each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sum(u32, u32);

impl Sum {
    fn at(bytes: &[u8], place: usize) -> Self {
        Self(word(bytes, place), word(bytes, place + 4))
    }
}

/// In which order the bytes of a word are summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Big,
    Little,
}

impl Order {
    fn of(header: &[u8]) -> Self {
        if word(header, 0) & 1 == 1 { Self::Big } else { Self::Little }
    }
}

fn sum(order: Order, start: Sum, bytes: &[u8]) -> Sum {
    let read = |bytes: [u8; 4]| match order {
        Order::Big => u32::from_be_bytes(bytes),
        Order::Little => u32::from_le_bytes(bytes),
    };
    let (pairs, _) = bytes.as_chunks::<8>();
    pairs.iter().fold(start, |Sum(one, two), [a, b, c, d, e, f, g, h]| {
        let one = one.wrapping_add(read([*a, *b, *c, *d])).wrapping_add(two);
        Sum(one, two.wrapping_add(read([*e, *f, *g, *h])).wrapping_add(one))
    })
}

fn word(bytes: &[u8], place: usize) -> u32 {
    bytes.get(place..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// The length of a page; what the header says is not trusted.
fn page_len(header: &[u8]) -> usize {
    match usize::try_from(word(header, 8)) {
        Ok(len) if len.is_power_of_two() && (512..=65_536).contains(&len) => len,
        Ok(_) | Err(_) => 4096,
    }
}

/// Whether there was so much left to read.
fn fill(source: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match source.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

const HEADER_LEN: usize = 32;
/// So much of the header is summed; the sum follows.
const SUMMED: usize = 24;
const FRAME_LEN: usize = 24;
const BUFFER: usize = 256 * 1024;
