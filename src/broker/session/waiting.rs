//! How much is owed to a client.

/// How much waits. Retained messages are not counted: they are shared with the store of retained messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Messages.
    pub messages: usize,
    /// Bytes of these.
    pub bytes: usize,
}

impl Waiting {
    /// What a part of a queue has that is on disk.
    pub fn of_chunk((messages, bytes): (u32, u64)) -> Self {
        let narrow = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        Self { messages: usize::try_from(messages).unwrap_or(usize::MAX), bytes: narrow(bytes) }
    }

    /// Both together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self { messages: self.messages.saturating_add(other.messages), bytes: self.bytes.saturating_add(other.bytes) }
    }

    /// What is left without the other.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self { messages: self.messages.saturating_sub(other.messages), bytes: self.bytes.saturating_sub(other.bytes) }
    }
}
