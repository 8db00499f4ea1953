//! What a loss of power can leave of a folder: everything that was synced, and of the rest whatever chance decides.
//!
//! The rules are those of POSIX, stricter than any one file system: a new name is there for certain only after its
//! folder was synced, changes of a folder reach the disk in their order, writes to a file in any order, and a write may
//! reach it in part, by sectors.

use super::strace::{Call, What};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A seeded source of decisions.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn is_one_of(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }
}

/// A folder as programs see it and as the disk has it.
pub struct Disk {
    root: PathBuf,
    nodes: Vec<Node>,
    fds: BTreeMap<u32, (usize, u64)>,
}

enum Node {
    File { synced: Vec<u8>, pending: Vec<(usize, Change)> },
    Folder { synced: Names, present: Names, pending: Vec<(usize, NameChange)> },
}

type Names = BTreeMap<OsString, usize>;

enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

#[derive(Clone)]
enum NameChange {
    Add(OsString, usize),
    Remove(OsString),
    Rename(OsString, OsString, usize),
}

/// Disks write sectors whole.
const SECTOR: usize = 512;

impl Disk {
    /// The state of the disk below `root` at a line of a recording that began when it was empty.
    pub fn at(root: &Path, calls: &[Call], line: usize, chance: &mut Chance) -> Self {
        let folder = Node::Folder { synced: Names::new(), present: Names::new(), pending: Vec::new() };
        let mut disk = Self { root: root.to_owned(), nodes: vec![folder], fds: BTreeMap::new() };
        for call in calls.iter().filter(|call| call.begin < line) {
            disk.apply(call, line, chance);
        }
        disk
    }

    fn apply(&mut self, call: &Call, line: usize, chance: &mut Chance) {
        match &call.what {
            What::Open { path, creates, truncates, fd } => {
                self.fds.remove(fd);
                let Some(node) = self.find(path).or_else(|| creates.then(|| self.make_file(path, call.end)).flatten())
                else {
                    return;
                };
                if *truncates {
                    self.change(node, call.end, Change::Truncate(0));
                }
                self.fds.insert(*fd, (node, 0));
            }
            What::Accept { fd, .. } => {
                self.fds.remove(fd);
            }
            What::MakeFolder(path) => {
                let folder = Node::Folder { synced: Names::new(), present: Names::new(), pending: Vec::new() };
                self.nodes.push(folder);
                let node = self.nodes.len() - 1;
                self.rename(path, call.end, |name| NameChange::Add(name, node));
            }
            What::Link { from, to } => {
                let node = self.find(from).unwrap();
                self.rename(to, call.end, |name| NameChange::Add(name, node));
            }
            What::Unlink(path) => self.rename(path, call.end, NameChange::Remove),
            What::Rename { from, to } => {
                assert_eq!(from.parent(), to.parent(), "a file moves to another folder, which this disk does not know");
                let Some(node) = self.find(from) else { return };
                let old = from.file_name().unwrap().to_owned();
                self.rename(to, call.end, |name| NameChange::Rename(old, name, node));
            }
            What::Write { fd, offset, bytes } => {
                let Some((node, position)) = self.fds.get_mut(fd) else { return };
                let node = *node;
                let offset = usize::try_from(offset.unwrap_or(*position)).unwrap();
                *position = u64::try_from(offset + bytes.len()).unwrap();
                self.change(node, call.end, Change::Write { offset, bytes: bytes.clone() });
            }
            What::Truncate { fd, len } => {
                let Some((node, _)) = self.fds.get(fd) else { return };
                self.change(*node, call.end, Change::Truncate(usize::try_from(*len).unwrap()));
            }
            // What is not over may not have happened.
            What::Sync(fd) if call.end < line => {
                if let Some((node, _)) = self.fds.get(fd) {
                    self.nodes[*node].sync(call.begin);
                }
            }
            What::FailedSync(fd) if call.end < line => {
                if let Some((node, _)) = self.fds.get(fd) {
                    self.nodes[*node].fail_to_sync(call.begin, chance);
                }
            }
            What::Sync(_) | What::FailedSync(_) | What::Send { .. } => {}
        }
    }

    fn find(&self, path: &Path) -> Option<usize> {
        let mut node = 0;
        for name in path.strip_prefix(&self.root).ok()? {
            let Node::Folder { present, .. } = &self.nodes[node] else { return None };
            node = *present.get(name)?;
        }
        Some(node)
    }

    fn make_file(&mut self, path: &Path, end: usize) -> Option<usize> {
        self.find(path.parent()?)?;
        self.nodes.push(Node::File { synced: Vec::new(), pending: Vec::new() });
        let node = self.nodes.len() - 1;
        self.rename(path, end, |name| NameChange::Add(name, node));
        Some(node)
    }

    fn rename(&mut self, path: &Path, end: usize, change: impl FnOnce(OsString) -> NameChange) {
        let Some(folder) = path.parent().and_then(|folder| self.find(folder)) else { return };
        let Node::Folder { present, pending, .. } = &mut self.nodes[folder] else { panic!("{path:?} is no folder") };
        let change = change(path.file_name().unwrap().to_owned());
        change.apply(present);
        pending.push((end, change));
    }

    fn change(&mut self, node: usize, end: usize, change: Change) {
        if let Node::File { pending, .. } = &mut self.nodes[node] {
            pending.push((end, change));
        }
    }

    /// Writes what the disk may have after the power went into a folder that exists.
    pub fn write_remains(&self, chance: &mut Chance, to: &Path) {
        self.write_folder(0, chance, to);
    }

    fn write_folder(&self, node: usize, chance: &mut Chance, to: &Path) {
        let Node::Folder { synced, pending, .. } = &self.nodes[node] else { panic!("no folder") };
        let mut names = synced.clone();
        for (_, change) in &pending[..chance.below(pending.len() + 1)] {
            change.apply(&mut names);
        }
        for (name, node) in names {
            let path = to.join(&name);
            match &self.nodes[node] {
                Node::Folder { .. } => {
                    super::broker::make_private_folder(&path);
                    self.write_folder(node, chance, &path);
                }
                Node::File { synced, pending } => {
                    super::broker::write_private_file(&path, &remains(synced, pending, chance));
                }
            }
        }
    }
}

impl Node {
    /// What had ended when the sync began is on the disk when it ends.
    fn sync(&mut self, begin: usize) {
        match self {
            Self::File { synced, pending } => {
                let (done, rest) = std::mem::take(pending).into_iter().partition(|(end, _)| *end <= begin);
                *pending = rest;
                let done: Vec<(usize, Change)> = done;
                done.iter().for_each(|(_, change)| change.apply(synced));
            }
            Self::Folder { synced, pending, .. } => {
                let (done, rest) = std::mem::take(pending).into_iter().partition(|(end, _)| *end <= begin);
                *pending = rest;
                let done: Vec<(usize, NameChange)> = done;
                done.iter().for_each(|(_, change)| change.apply(synced));
            }
        }
    }
}

impl Node {
    /// The system takes what it could not write for written: chance decides now what is on the disk, for good.
    fn fail_to_sync(&mut self, begin: usize, chance: &mut Chance) {
        if let Self::File { synced, pending } = self {
            let (tried, rest) = std::mem::take(pending).into_iter().partition(|(end, _)| *end <= begin);
            *pending = rest;
            let tried: Vec<(usize, Change)> = tried;
            *synced = remains(synced, &tried, chance);
        }
    }
}

/// What a file may hold: what was synced, and none, some or all of the changes after that.
fn remains(synced: &[u8], pending: &[(usize, Change)], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = synced.to_vec();
    // One of so many changes is missing; 1 is all of them.
    let missing = [1, 2, 10, usize::MAX][chance.below(4)];
    for (_, change) in pending {
        if chance.is_one_of(missing) {
            continue;
        }
        match change {
            Change::Write { offset, bytes: written } if chance.is_one_of(4) => {
                let sectors = written.chunks(SECTOR).zip((*offset..).step_by(SECTOR));
                for (sector, offset) in sectors.filter(|_| !chance.is_one_of(3)) {
                    Change::Write { offset, bytes: sector.to_vec() }.apply(&mut bytes);
                }
            }
            change => change.apply(&mut bytes),
        }
    }
    bytes
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*offset..end].copy_from_slice(bytes);
            }
            Self::Truncate(len) => to.resize(*len, 0),
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Add(name, node) => drop(names.insert(name.clone(), *node)),
            Self::Remove(name) => drop(names.remove(name)),
            Self::Rename(old, new, node) => {
                names.remove(old);
                names.insert(new.clone(), *node);
            }
        }
    }
}
