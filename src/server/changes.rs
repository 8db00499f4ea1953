//! What a shard wants stored with its next frame, while the one before it is on its way to the disk.

use crate::broker::{CommitId, Durability, StoreOp};

/// The changes of the next frame. Their identifiers have no gaps, so each is found at once.
#[derive(Debug, Default)]
pub struct Changes {
    /// Those that need not be stored any more are gone and keep their places.
    ops: Vec<Option<(Durability, StoreOp)>>,
    first: CommitId,
    /// How many are left.
    left: usize,
    bytes: usize,
}

/// A frame that is closed.
#[derive(Debug)]
pub struct Closed {
    /// What is to be stored, in order.
    pub ops: Vec<StoreOp>,
    /// What it must survive.
    pub durability: Durability,
    /// The last change that it settles.
    pub commit: CommitId,
}

impl Changes {
    /// Adds the next change.
    pub fn push(&mut self, commit: CommitId, durability: Durability, op: StoreOp) {
        if self.ops.is_empty() {
            self.first = commit;
        }
        self.left += 1;
        self.bytes += op.size();
        self.ops.push(Some((durability, op)));
    }

    /// A change need not be stored any more.
    pub fn remove(&mut self, commit: CommitId) {
        let at = commit.0.checked_sub(self.first.0).and_then(|at| usize::try_from(at).ok());
        let Some((_, op)) = at.and_then(|at| self.ops.get_mut(at)).and_then(Option::take) else { return };
        self.left -= 1;
        // Its place takes memory as long as something is left.
        self.bytes -= op.size().saturating_sub(size_of::<StoreOp>());
        if self.left == 0 {
            self.ops.clear();
            self.bytes = 0;
        }
    }

    /// Whether nothing is to be stored.
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Roughly what they take, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes them out.
    pub fn close(&mut self) -> Closed {
        let ops = std::mem::take(&mut self.ops);
        let commit = CommitId(self.first.0 + (ops.len() as u64).saturating_sub(1));
        (self.left, self.bytes) = (0, 0);
        let left = || ops.iter().flatten();
        let durability = left().map(|(durability, _)| *durability).max().unwrap_or(Durability::Os);
        Closed { ops: ops.into_iter().flatten().map(|(_, op)| op).collect(), durability, commit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change() -> StoreOp {
        StoreOp::Cut { before: CommitId(0) }
    }

    #[test]
    fn a_frame_has_the_strongest_class_of_what_is_left_in_it_and_settles_the_rest_too() {
        let mut changes = Changes::default();
        changes.push(CommitId(5), Durability::Os, change());
        changes.push(CommitId(6), Durability::Commit, change());
        changes.push(CommitId(7), Durability::Os, change());
        let strong = changes.close();
        assert_eq!((strong.ops.len(), strong.durability, strong.commit), (3, Durability::Commit, CommitId(7)));
        changes.push(CommitId(8), Durability::Commit, change());
        changes.push(CommitId(9), Durability::Os, change());
        changes.push(CommitId(10), Durability::Commit, change());
        changes.remove(CommitId(8));
        changes.remove(CommitId(10));
        changes.remove(CommitId(10));
        changes.remove(CommitId(7));
        let weak = changes.close();
        assert_eq!((weak.ops.len(), weak.durability, weak.commit), (1, Durability::Os, CommitId(10)));
    }

    #[test]
    fn nothing_is_left_of_a_frame_whose_changes_are_all_needless() {
        let mut changes = Changes::default();
        for commit in 1..=1000 {
            changes.push(CommitId(commit), Durability::Commit, change());
            assert!(!changes.is_empty() && changes.bytes() > 0);
            changes.remove(CommitId(commit));
            assert!(changes.is_empty());
            assert_eq!((changes.bytes(), changes.ops.len()), (0, 0));
        }
    }
}
